"""The picture of the packages in docs/architecture.md."""

import pytest

from ops.checks import picture
from ops.console import CommandError
from service import create_app
from service.settings import Settings

IMPORTS = {"a": {"b", "c", "d"}, "b": {"c"}, "c": {"d"}, "d": set[str](), "e": {"d"}}


def test_the_page_has_the_picture_of_the_code() -> None:
    assert picture.check(Settings(), []) == 0


def test_an_import_that_follows_from_others_is_left_out() -> None:
    assert set(picture.reduced(IMPORTS)) == {("a", "b"), ("b", "c"), ("c", "d"), ("e", "d")}


def test_the_picture_shows_the_blueprints_of_the_application() -> None:
    imports, blueprints = picture.packages()

    assert {name.removeprefix("service.") for name in blueprints} == set(
        create_app(Settings()).blueprints
    )
    assert "service.common.web" in imports
    assert "service.common.web" in picture.reachable(imports, "service.health")
    assert "service.health" not in picture.reachable(imports, "service.common.web")


@pytest.mark.parametrize(
    ("change", "message"),
    [("flowchart", "is stale: run `just fix`"), ("```mermaid", "needs the lines")],
)
def test_a_page_without_the_picture_of_the_code_is_reported(
    change: str,
    message: str,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    page = picture.PAGE.read_text(encoding="utf-8").replace(change, "other")
    stale = tmp_path_factory.mktemp("docs") / "architecture.md"
    stale.write_text(page, encoding="utf-8")
    monkeypatch.setattr(picture, "PAGE", stale)
    monkeypatch.delenv("JUST_COMMAND", raising=False)

    with pytest.raises(CommandError, match=message):
        picture.check(Settings(), [])
