"""Every limit has a test that shows that it holds."""

import re

from local import limits as pages
from service.common.limits import limits
from service.settings import ROOT, Settings

MARK = re.compile(r"mark\.limit\(([^)]*)\)")


def test_every_limit_has_a_test_and_every_marked_limit_exists() -> None:
    tests = (path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    marked = {
        name
        for text in tests
        for names in MARK.findall(text)
        for name in re.findall(r'"(\w+)"', names)
    }

    assert marked == set(limits())


def test_every_setting_of_a_limit_has_its_value_as_the_default() -> None:
    fields = Settings.model_fields
    configurable = {limit.setting: limit.value for limit in limits().values() if limit.setting}

    assert {name: fields[name.lower()].default for name in configurable} == configurable


def test_the_page_is_what_the_module_says() -> None:
    assert pages.PAGE.read_text(encoding="utf-8") == pages.page()
