"""Every limit has a test that shows that it holds."""

import ast
from collections.abc import Iterator

from ops.checks import limits as pages
from service.limits import limits
from service.settings import ROOT, Settings

MARK = "pytest.mark.limit"


def marked_limits(text: str) -> Iterator[str]:
    """Yield the names in the marks of the tests of a module."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name[:5] == "test_":
            for decorator in node.decorator_list:
                if isinstance(decorator, ast.Call) and ast.unparse(decorator.func) == MARK:
                    yield from map(ast.literal_eval, decorator.args)


def test_every_limit_has_a_test_and_every_marked_limit_exists() -> None:
    tests = (path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py"))

    assert {name for text in tests for name in marked_limits(text)} == set(limits())


def test_only_the_mark_of_a_test_counts() -> None:
    text = """
# @pytest.mark.limit("A_COMMENT")
@pytest.mark.limit("FIRST", "SECOND")
async def test_one(): ...
@pytest.mark.limit("A_HELPER")
def helper(): ...
"""

    assert [*marked_limits(text)] == ["FIRST", "SECOND"]


def test_every_setting_of_a_limit_has_its_value_as_the_default() -> None:
    fields = Settings.model_fields
    configurable = {limit.setting: limit.value for limit in limits().values() if limit.setting}

    assert {name: fields[name.lower()].default for name in configurable} == configurable


def test_the_page_is_up_to_date() -> None:
    assert pages.PAGE.read_text(encoding="utf-8") == pages.page()


def test_the_unit_of_one_is_singular() -> None:
    units = [limit.unit.split()[0] for limit in limits().values() if limit.value == 1]

    assert [unit for unit in units if unit.endswith("s")] == []
