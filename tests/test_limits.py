"""Every limit has a test that shows that it holds."""

import re

from ops.checks import limits as pages
from service.limits import limits
from service.metrics import COUNTED_LIMITS
from service.settings import ROOT, Settings
from tests.marks import marked, names_in


def test_every_limit_has_a_test_and_every_marked_limit_exists() -> None:
    assert marked("limit") == set(limits())


def test_only_the_mark_of_a_test_counts() -> None:
    text = """
# @pytest.mark.limit("A_COMMENT")
@pytest.mark.limit("FIRST", "SECOND")
async def test_one(): ...
@pytest.mark.limit("A_HELPER")
def helper(): ...
"""

    assert [*names_in(text, "limit")] == ["FIRST", "SECOND"]


def test_every_setting_of_a_limit_has_its_value_as_the_default() -> None:
    fields = Settings.model_fields
    configurable = {limit.setting: limit.value for limit in limits().values() if limit.setting}

    assert {name: fields[name.lower()].default for name in configurable} == configurable


def test_the_page_is_up_to_date() -> None:
    assert pages.PAGE.read_text(encoding="utf-8") == pages.page()


def test_the_unit_of_one_is_singular() -> None:
    units = [limit.unit.split()[0] for limit in limits().values() if limit.value == 1]

    assert [unit for unit in units if unit.endswith("s")] == []


def test_the_metrics_count_limits_by_their_names() -> None:
    counted = {
        name
        for path in (ROOT / "service").rglob("*.py")
        for name in re.findall(
            r'(?:(?:count_limit|Admission|\bend)[(,]\s*|\bcheap_\w+ = )"([A-Z_]+)"',
            path.read_text(encoding="utf-8"),
        )
    }

    assert counted == {*COUNTED_LIMITS}
    assert counted <= limits().keys()


def test_of_every_limit_a_test_shows_that_it_is_counted() -> None:
    tested = {
        name
        for path in (ROOT / "tests").rglob("test_*.py")
        for name in re.findall(r'\bcounted\("([A-Z_]+)"', path.read_text(encoding="utf-8"))
    }

    assert tested == {*COUNTED_LIMITS}
