"""`just field BLUEPRINT FIELD…`: adds fields to the records of a blueprint."""

import ast
import json
from collections.abc import Sequence
from typing import Any

from ops.console import CommandError, just
from ops.generate.blueprint.command import (
    WRITTEN,
    format_python,
    parents,
    read_arguments,
    say_done,
    show,
    write_documents,
    write_migration,
)
from ops.generate.blueprint.edits import BY_HAND, Edits
from ops.generate.blueprint.fields import REFERENCE, TYPES, Field, read_later
from ops.generate.blueprint.files import Blueprint, imports, json_text, rendered
from ops.generate.git import require_clean
from ops.generate.journal import Journal
from service.settings import ROOT, Settings

MAX_LISTED = 50
# Entity tags change with it: see service/common/resource/versions.py.
LATER = 'info={"later": True}'
# PostgreSQL's limit.
MAX_IDENTIFIER = 63
HELP = """\
`{field} BLUEPRINT FIELD…` adds fields to the records of a blueprint, with tests and a migration.
For example:

    {field} foss 'homepage:url:optional:search' 'stars:integer:index:default=0'

FIELD is as in `{blueprint}`. Records that exist, and clients that do not know the field, need
`:optional`, or a value at the end of FIELD: `:default=VALUE`. What is unique, a reference or JSON
must be optional.
`--dry-run` shows what would be written; `--force` writes although there are uncommitted changes.
"""


def add(_settings: Settings, arguments: list[str]) -> int:
    """Add fields to a blueprint, or change nothing at all."""
    options, name, texts = read_arguments("field", arguments)
    if not name:
        print(HELP.format(field=just("field"), blueprint=just("blueprint")), end="")
        return 0
    with Journal() as journal:
        fields = _read(name, texts)
        if "--force" not in options:
            require_clean(*WRITTEN)
        _Addition(Blueprint(name, fields), journal).write()
        paths = journal.paths()
        if "--dry-run" in options:
            show(paths)
            journal.revert()
            return 0
    say_done(f"Added {_listed(fields)} to the blueprint `{name}`", name, paths)
    return 0


def _read(name: str, texts: Sequence[str]) -> list[Field]:
    models = ROOT / "service" / name / "models.py"
    if "/" in name or not models.exists():
        raise CommandError(f"There is no blueprint `{name}` in service/.")
    if not texts:
        raise CommandError(f"Give `{name}` at least one field, such as `note:text:optional`.")
    fields = [read_later(text) for text in texts]
    edits = Edits(models)
    taken = edits.attributes(edits.class_of(Blueprint(name, ()).title))
    properties = _record(name)["properties"]
    taken |= properties.keys()
    # A reference has a name of its own, by which clients include it.
    taken |= {
        column.removesuffix("_id") for column, schema in properties.items() if REFERENCE in schema
    }
    for one in fields:
        for own in (one.column, one.name):
            if own in taken:
                raise CommandError(
                    f"`{name}` has a field, column or reference `{own}` already: choose another "
                    "name."
                )
        if one.target and name in (target for target, _ in parents([one])):
            to = "itself" if one.target == name else f"`{one.target}`, which refers to it,"
            raise CommandError(f"A reference of `{name}` to {to} is not generated: {BY_HAND}.")
        longest = f"ck_{name}_{one.column}_{one.target or 'trigrams'}"
        if len(longest) > MAX_IDENTIFIER:
            raise CommandError(
                f"`{one.column}` is too long: the name of its constraint or index would have more "
                f"than {MAX_IDENTIFIER} characters. Choose a shorter one."
            )
        taken |= {one.column, one.name}
    return fields


def _record(name: str) -> dict[str, Any]:
    return _document(name, name)


def _document(name: str, stem: str) -> dict[str, Any]:
    path = ROOT / "schemas" / name / f"{stem}.json"
    try:
        document: dict[str, Any] = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise CommandError(
            f"schemas/{name}/{stem}.json can't be read: {error}. Correct it, then run this again."
        ) from error
    if "properties" not in document:
        raise CommandError(f"schemas/{name}/{stem}.json has no `properties`, and {BY_HAND}.")
    return document


class _Addition:
    """The addition of fields to a blueprint."""

    def __init__(self, blueprint: Blueprint, journal: Journal) -> None:
        self._name, self._title = blueprint.name, blueprint.title
        self._fields = blueprint.fields
        self._journal = journal
        self._service = ROOT / "service" / self._name
        self._tests = ROOT / "tests" / self._name

    def write(self) -> None:
        """Write every file."""
        # Tests begin with a record as it is so far.
        self._write_tests()
        self._write_schemas()
        self._write_models()
        self._write_payloads()
        self._write_backend()
        format_python(self._journal, str(self._service), str(self._tests))
        message = f"Add {_listed(self._fields)} to the table `{self._name}`"
        write_migration(self._journal, message, self._migration)
        write_documents(self._journal)

    def _write_tests(self) -> None:
        create = _document(self._name, f"create_{self._name}")
        example = next(iter(create.get("examples", [])), None)
        if example is None:
            raise CommandError(
                f"schemas/{self._name}/create_{self._name}.json has no example of a record: add "
                "one, then run this again."
            )
        known = [
            schema[REFERENCE] for schema in create["properties"].values() if REFERENCE in schema
        ]
        for one in self._fields:
            before = [*parents([one], known)]
            path = self._tests / f"test_{one.column}.py"
            if path.exists():
                raise CommandError(
                    f"There is already a file tests/{self._name}/{path.name}: rename it."
                )
            is_exact = one.default is None or isinstance(one.default, bool)
            values = {
                "name": self._name,
                "field": one,
                "example": example,
                "value": repr(one.sample(1)),
                "other": repr(one.sample(2)),
                "parents": before,
                "tables": [*dict.fromkeys(name for name, _ in before)],
                "default": f"{'is' if is_exact else '=='} {one.default!r}",
            }
            self._journal.write(path, rendered("tests/test_field.py", values))

    def _write_schemas(self) -> None:
        record = _record(self._name)
        self._add_to_collection(record)
        stored = {one.column: one.schema(stored=True) for one in self._fields}
        samples = {one.column: one.sample(1) for one in self._fields}
        record["properties"] = _before_timestamps(record["properties"], stored)
        required = dict.fromkeys(record.get("required", []))
        record["required"] = [*_before_timestamps(required, dict.fromkeys(stored))]
        record["examples"] = [
            _before_timestamps(one, samples) for one in record.get("examples", [])
        ]
        create = _document(self._name, f"create_{self._name}")
        create["properties"] |= {one.column: one.schema(new=True) for one in self._fields}
        # What a reference in an example refers to would have to exist.
        given = {one.column: one.sample(1) for one in self._fields if not one.target}
        create["examples"] = [one | given for one in create["examples"]]
        update = _document(self._name, f"update_{self._name}")
        update["properties"] |= {one.column: one.schema() for one in self._fields}
        for stem, document in {
            self._name: record,
            f"create_{self._name}": create,
            f"update_{self._name}": update,
        }.items():
            path = ROOT / "schemas" / self._name / f"{stem}.json"
            self._journal.write(path, json_text(document))

    def _add_to_collection(self, record: dict[str, Any]) -> None:
        """Declare what clients can sort, filter and search by, if there is a collection."""
        collection: dict[str, Any] = record.get("x-collection", {})
        # Without a list, it is every field.
        sorts = collection.get("sort") or list(record["properties"])
        own = dict.fromkeys(one.column for one in self._fields if one.is_sorted)
        if "sort" in collection or len(own) < len(self._fields):
            collection["sort"] = [*_before_timestamps(dict.fromkeys(sorts), own)]
        for one in self._fields:
            if one.is_filter:
                sentence = f"Only records with exactly this {one.words}."
                collection.setdefault("equal", {})[one.column] = sentence
            if one.is_searched:
                some = f"Only records whose {one.words} contains this text, ignoring case."
                part = collection.get("part", "")
                found = " contains " in part
                collection["part"] = (
                    part.replace(" contains ", f" or {one.words} contains ", 1) if found else some
                )

    def _write_models(self) -> None:
        edits = Edits(self._service / "models.py")
        model = edits.class_of(self._title)
        types = {one.sql.partition("(")[0].partition(",")[0] for one in self._fields}
        names = types | self._annotations()
        constraints, indexes = [], []
        for one in self._fields:
            edits.add_attribute(
                model,
                f"{one.column}: Mapped[{one.python}] = mapped_column({one.sql}, {LATER})",
            )
            if one.target:
                names.add("ForeignKey")
            if one.is_unique:
                constraints.append(f'UniqueConstraint("{one.column}")')
            constraints += [
                f'CheckConstraint("{condition}", name="{label}")' for condition, label in one.checks
            ]
            if one.has_index:
                indexes.append(f'Index(None, "{one.column}", "id")')
            if one.is_searched:
                indexes.append(rendered("trigrams", {"name": self._name, "field": one}))
        if constraints or indexes:
            edits.add_arguments(model, constraints, indexes)
        names |= {text.partition("(")[0] for text in (*constraints, *indexes)}
        edits.add_imports(imports(names))
        self._journal.write(edits.path, edits.text())

    def _annotations(self) -> set[str]:
        """Return the types of Python that the fields need imported."""
        return {TYPES[one.type].python for one in self._fields} - {"str", "int", "float", "bool"}

    def _write_payloads(self) -> None:
        edits = Edits(self._service / "payloads.py")
        create, update = (edits.class_of(f"{verb}{self._title}") for verb in ("Create", "Update"))
        for one in self._fields:
            edits.add_attribute(create, f"{one.column}: {one.given}")
            edits.add_attribute(update, f"{one.column}: {one.base} | None = None")
        if any(one.is_filter or one.is_searched for one in self._fields):
            query = edits.class_of(f"List{self._title}")
            for one in self._fields:
                if one.is_filter:
                    line = f"{one.column}: {one.base} | None = None"
                    edits.add_attribute(query, line, before="q")
            searches = "q" in edits.attributes(query)
            if not searches and any(one.is_searched for one in self._fields):
                edits.add_attribute(query, "q: str | None = None")
        if lines := imports(self._annotations()):
            edits.add_imports(lines)
        self._journal.write(edits.path, edits.text())

    def _write_backend(self) -> None:
        if searched := [one.column for one in self._fields if one.is_searched]:
            edits = Edits(self._service / "backend.py")
            if line := edits.add_search(*searched):
                edits.add_imports(line)
            self._journal.write(edits.path, edits.text())

    def _migration(self, text: str) -> str:
        """Return the migration that alembic wrote, such that the service goes on meanwhile."""
        module = ast.parse(text)
        functions = {node.name: node for node in module.body if isinstance(node, ast.FunctionDef)}
        constrained = any(one.checks or one.target or one.is_unique for one in self._fields)
        indexed = any(one.is_unique or one.has_index or one.is_searched for one in self._fields)
        added = additions(functions["upgrade"], self._name, [one.column for one in self._fields])
        if constrained or indexed:
            for call in added:
                call.keywords.append(ast.keyword("if_not_exists", ast.Constant(True)))
        head = "".join(text.splitlines(keepends=True)[: functions["upgrade"].lineno - 1])
        if indexed:
            head = head.replace("import Sequence\n", "import Sequence\nfrom typing import Any\n", 1)
        values = {
            "name": self._name,
            "fields": self._fields,
            "columns": [ast.unparse(call) for call in added],
            "again": constrained or indexed,
            "constrained": constrained,
            "indexed": indexed,
        }
        return head + rendered("add_columns.py", values)


def additions(upgrade: ast.FunctionDef, table: str, columns: Sequence[str]) -> list[ast.Call]:
    """Return the calls that add columns. Raises CommandError unless it is these of the table."""
    calls = {}
    for statement in upgrade.body:
        match statement:
            case ast.Expr(
                ast.Call(
                    ast.Attribute(ast.Name("op"), "add_column"),
                    [ast.Constant(of), ast.Call(_, [ast.Constant(column), *_])],
                ) as call
            ):
                calls[of, column] = call
    if calls.keys() != {(table, column) for column in columns}:
        raise CommandError(
            "alembic found other changes of the models than the new columns: see "
            f"`{just('check')}`."
        )
    return [*calls.values()]


def _listed(fields: Sequence[Field]) -> str:
    *first, last = [f"`{one.column}`" for one in fields]
    text = f"{', '.join(first)} and {last}" if first else last
    # It is also the first line of a docstring.
    return text if len(text) <= MAX_LISTED else f"{len(fields)} columns"


def _before_timestamps(known: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """Return both, the new before `created_at`, if there is one."""
    names = [*known]
    place = names.index("created_at") if "created_at" in names else len(names)
    return {
        **{name: known[name] for name in names[:place]},
        **new,
        **{name: known[name] for name in names[place:]},
    }
