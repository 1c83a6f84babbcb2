"""The catalogue of errors: each row is answered by a test, and what is made from it is current."""

import ast
import re

import pytest

from ops.checks import errors
from ops.console import CommandError
from ops.local import nginx
from service import create_app
from service.common.errors import InvalidAPIRequest, JSONException, error_rows
from service.common.errors.catalogue import kinds
from service.settings import ROOT, Settings
from tests.contract import known_errors
from tests.marks import marked


@pytest.fixture(autouse=True, scope="module")
def every_feature() -> None:
    """Import every feature: each brings rows of its own."""
    create_app(Settings())


def test_every_row_is_answered_by_a_test_and_every_marked_error_has_a_row() -> None:
    assert marked("error") == {f"{row.status} {row.type}" for row in error_rows()}


def test_every_row_says_when_it_is_answered_and_what_to_do() -> None:
    for row in error_rows():
        assert row.when.endswith(".")
        assert row.action.endswith(".")
        assert row.title


def test_no_two_rows_are_of_one_status_and_type() -> None:
    assert len({(row.status, row.type) for row in error_rows()}) == len(error_rows())


def test_the_first_row_of_an_exception_is_of_its_own_status() -> None:
    for kind in kinds(JSONException):
        assert kind.rows[0].status == kind.status_code


def test_every_status_that_the_code_gives_to_an_error_has_a_row() -> None:
    given = {
        node.value
        for path in (ROOT / "service").rglob("*.py")
        for call in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(call, ast.Call)
        for keyword in call.keywords
        if keyword.arg == "status_code" and isinstance(node := keyword.value, ast.Constant)
    }

    assert {404, 405, 413, 422} <= given <= {row.status for row in InvalidAPIRequest.rows}


def test_nginx_has_words_for_each_error_that_it_answers() -> None:
    template = nginx.TEMPLATE.read_text(encoding="utf-8")
    lines = re.findall(r"error_page ([^@;]*) /_error;", template)
    answered = {int(line.split("=")[-1]) for line in lines if "=" in line}
    answered |= {int(status) for line in lines if "=" not in line for status in line.split()}

    assert answered == {row.status for row in error_rows() if row.proxy}


def test_the_files_are_what_the_exceptions_say() -> None:
    for path, text in errors.texts():
        assert path.read_text(encoding="utf-8") == text


def test_a_file_with_another_catalogue_would_be_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(errors, "maps", lambda _: "")
    with pytest.raises(CommandError, match=r"nginx/nginx\.conf\.template is stale: run"):
        errors.check(Settings(), [])

    monkeypatch.setattr(errors, "table", lambda _: "")
    with pytest.raises(CommandError, match=r"docs/errors\.md is stale: run"):
        errors.check(Settings(), [])


def test_a_file_that_has_lost_its_lines_would_be_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(errors.PLACES, errors.PAGE, ("begin", "no such line"))

    with pytest.raises(CommandError, match=r"docs/errors\.md needs the lines"):
        errors.check(Settings(), [])


def test_the_tests_know_the_rows() -> None:
    assert known_errors() == {(row.status, row.type) for row in error_rows()}
