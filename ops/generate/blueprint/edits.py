"""Insertions into a Python file that a person may have changed: all else stays as it is."""

import ast
from collections.abc import Sequence
from pathlib import Path

from ops.console import CommandError
from service.settings import ROOT

BY_HAND = '"Add a field by hand" in docs/blueprint.md says how'


class Edits:
    """The insertions into one file, at places that its syntax tree has."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._name = path.relative_to(ROOT).as_posix()
        try:
            # The tree counts in bytes.
            self._source = path.read_bytes()
            self._tree = ast.parse(self._source)
        except FileNotFoundError:
            raise CommandError(f"There is no {self._name}, and {BY_HAND}.") from None
        except SyntaxError as error:
            raise CommandError(f"{self._name} is not valid Python: {error}.") from error
        lines = self._source.splitlines(keepends=True)
        self._starts = [0]
        for line in lines:
            self._starts.append(self._starts[-1] + len(line))
        self._insertions: list[tuple[int, str]] = []

    def text(self) -> str:
        """Return the file with the insertions."""
        source = self._source
        # From the end, so that the places before stay valid.
        for place, text in sorted(self._insertions, key=lambda one: one[0])[::-1]:
            source = source[:place] + text.encode() + source[place:]
        return source.decode()

    def class_of(self, name: str) -> ast.ClassDef:
        """Return a class of the file. Raises CommandError."""
        for node in self._tree.body:
            if isinstance(node, ast.ClassDef) and node.name == name:
                return node
        raise self.missing(f"the class `{name}`")

    def missing(self, what: str) -> CommandError:
        """Return the error that a place is not in the file."""
        return CommandError(
            f"{self._name} does not have {what}, so nothing was changed: {BY_HAND}."
        )

    def add_imports(self, lines: str) -> None:
        """Add imports; `ruff` sorts them, and unites those of one module."""
        last = [node for node in self._tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
        if not last:
            raise self.missing("an import")
        self._after_line(last[-1], lines)

    def add_attribute(self, owner: ast.ClassDef, line: str, before: str = "") -> None:
        """Add an annotated attribute to a class: after the others, or before one of them."""
        known = [node for node in owner.body if isinstance(node, ast.AnnAssign)]
        if before and (found := [one for one in known if _name(one) == before]):
            self._insert(self._starts[found[0].lineno - 1], f"    {line}\n")
        else:
            # Without any, after the docstring or whatever the class has.
            self._after_line([*owner.body, *known][-1], f"    {line}")

    def add_arguments(
        self, owner: ast.ClassDef, constraints: Sequence[str], indexes: Sequence[str]
    ) -> None:
        """Add to the tuple `__table_args__`, the constraints before the indexes."""
        given = [
            node.value
            for node in owner.body
            if isinstance(node, ast.Assign) and [*map(_name, node.targets)] == ["__table_args__"]
        ]
        if not given or not isinstance(given[0], ast.Tuple) or not given[0].elts:
            raise self.missing(f"a tuple `__table_args__` in `{owner.name}`")
        elements = given[0].elts
        first = next((one for one in elements if _called(one) == "Index"), None)
        timestamps = next((one for one in elements if '"created_at"' in self._of(one)), None)
        own = [one for one in elements if _called(one).endswith("Constraint")]
        for text in constraints:
            if own:
                self._after(own[-1], text)
            else:
                self._insert(self._place(first or elements[0]), f"{text},\n        ")
        for text in indexes:
            if timestamps is not None and "postgresql_using" not in text:
                self._insert(self._place(timestamps), f"{text},\n        ")
            else:
                self._after(elements[-1], text)

    def add_search(self, *names: str) -> str:
        """Let `q` search columns too; return the import that it needs."""
        listed = ", ".join(f'"{name}"' for name in names)
        calls = [node for node in ast.walk(self._tree) if isinstance(node, ast.Call)]
        for call in calls:
            if _called(call) == "TextSearch" and call.args:
                self._insert(self._end(call.args[-1]), f", {listed}")
                return ""
        for call in calls:
            if _called(call) == "Resource" and call.args:
                self._insert(self._end(call.args[-1]), f", search=TextSearch({listed})")
                return "from service.common.search import TextSearch"
        raise self.missing("a call of `Resource` or `TextSearch`")

    def attributes(self, owner: ast.ClassDef) -> set[str]:
        """Return the names of a class's attributes, and of columns that have another name."""
        names = set()
        for node in owner.body:
            targets = node.targets if isinstance(node, ast.Assign) else [node]
            names |= {_name(target) for target in targets}
            value = getattr(node, "value", None)
            if isinstance(node, ast.Assign) and isinstance(value, ast.Constant):
                names.add(str(value.value))
        return names

    def _of(self, node: ast.expr) -> str:
        return self._source[self._place(node) : self._end(node)].decode()

    def _place(self, node: ast.expr | ast.stmt) -> int:
        return self._starts[node.lineno - 1] + node.col_offset

    def _end(self, node: ast.expr | ast.stmt) -> int:
        return self._starts[(node.end_lineno or 0) - 1] + (node.end_col_offset or 0)

    def _after(self, element: ast.expr, text: str) -> None:
        """Insert an element of a tuple after another one, and a comma between them."""
        end = self._end(element)
        rest = self._source[end:]
        if rest.lstrip().startswith(b","):
            self._insert(end + rest.index(b",") + 1, f"\n        {text},")
        else:
            self._insert(end, f",\n        {text}")

    def _after_line(self, node: ast.stmt, text: str) -> None:
        self._insert(self._starts[node.end_lineno or 0], f"{text}\n")

    def _insert(self, place: int, text: str) -> None:
        self._insertions.append((place, text))


def _name(node: ast.AST) -> str:
    if isinstance(node, ast.AnnAssign):
        node = node.target
    named = getattr(node, "id", None) or getattr(node, "name", None)
    return str(named or "")


def _called(node: ast.expr) -> str:
    return _name(node.func) if isinstance(node, ast.Call) else ""
