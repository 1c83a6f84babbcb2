"""What the marks of tests name, such as `@pytest.mark.limit("HEAD_BYTES")`."""

import ast
from collections.abc import Iterator

from service.settings import ROOT


def marked(mark: str) -> set[str]:
    """Return the names in a mark of all tests."""
    tests = (path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    return {name for text in tests for name in names_in(text, mark)}


def names_in(text: str, mark: str) -> Iterator[str]:
    """Yield the names in a mark of the tests of a module."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name[:5] == "test_":
            for decorator in node.decorator_list:
                if (
                    isinstance(decorator, ast.Call)
                    and ast.unparse(decorator.func) == f"pytest.mark.{mark}"
                ):
                    yield from map(ast.literal_eval, decorator.args)
