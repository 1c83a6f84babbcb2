"""The check that every answer of every test goes through, and that of the committed contract."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from ops.checks import contract as committed
from ops.checks import redocly
from ops.console import CommandError
from service.settings import Settings
from tests.contract import check, check_raw

HEADERS = {"X-Request-ID": "a", "Content-Type": "application/json"}
RECORD = {
    "id": 7,
    "name": "PostgreSQL",
    "email": "info@postgresql.example",
    "created_at": "2026-01-02T03:04:05.678901Z",
    "updated_at": "2026-01-02T03:04:05.678901Z",
}
ERROR: dict[str, Any] = {
    "error": {"code": 404, "type": "RecordNotFound", "message": "No.", "request_id": "a"}
}


def body(value: Any) -> bytes:
    return json.dumps(value).encode()


GOOD = {
    "a record": ("GET", "/item/7", 200, HEADERS | {"ETag": '"1"'}, body(RECORD)),
    "a part of one": ("GET", "/item/7", 200, HEADERS, body({"id": 7})),
    "a new record": (
        "POST",
        "/item",
        201,
        HEADERS | {"ETag": '"1"', "Location": "/item/7"},
        body(RECORD),
    ),
    "no change": ("GET", "/item/7", 304, {"X-Request-ID": "a", "ETag": '"1"'}, b""),
    "an answer to HEAD": ("HEAD", "/item/7", 200, HEADERS, b""),
    "an error": ("GET", "/item/7", 404, HEADERS, body(ERROR)),
    "an error elsewhere": ("GET", "/nope", 404, HEADERS, body(ERROR)),
    "a wrong method": (
        "PUT",
        "/item",
        405,
        HEADERS | {"Allow": "GET"},
        body({"error": ERROR["error"] | {"code": 405, "type": "InvalidAPIRequest"}}),
    ),
    "a preflight": ("OPTIONS", "/item", 204, {"X-Request-ID": "a"}, b""),
    "a page": ("GET", "/docs", 200, {"X-Request-ID": "a", "Content-Type": "text/html"}, b"<html>"),
}
BAD = {
    "a status": ("GET", "/item/7", 202, HEADERS, body(RECORD)),
    "a missing header": ("PUT", "/item/7", 200, HEADERS, body(RECORD)),
    "a wrong header": ("GET", "/item/7", 200, HEADERS | {"ETag": 'W/"1"'}, body(RECORD)),
    "no request id": ("GET", "/item", 200, {"Content-Type": "application/json"}, b"[]"),
    "a media type": (
        "GET",
        "/item",
        200,
        HEADERS | {"Content-Type": "application/json; charset=utf-8"},
        b"[]",
    ),
    "a missing property": (
        "POST",
        "/item",
        201,
        HEADERS | {"ETag": '"1"', "Location": "/item/7"},
        body({"id": 7}),
    ),
    "an unknown property": ("GET", "/item/7", 200, HEADERS, body(RECORD | {"version": 1})),
    "a body of a 304": ("GET", "/item/7", 304, HEADERS | {"ETag": '"1"'}, b"{}"),
    "another shape of an error": ("GET", "/item/7", 404, HEADERS, body({"message": "No."})),
    "another shape elsewhere": ("GET", "/nope", 404, HEADERS, body({"message": "No."})),
    "an answer of a route that is not described": ("GET", "/nope", 200, HEADERS, b"[]"),
    "a wrong method without Allow": (
        "PUT",
        "/item",
        405,
        HEADERS,
        body({"error": ERROR["error"] | {"code": 405, "type": "InvalidAPIRequest"}}),
    ),
    "a status that no URL has": (
        "GET",
        "/nope",
        418,
        HEADERS,
        body({"error": ERROR["error"] | {"code": 418}}),
    ),
    "a status that is not its own": (
        "GET",
        "/item/7",
        404,
        HEADERS,
        body({"error": ERROR["error"] | {"code": 409}}),
    ),
    "a type that no row has with its status": (
        "GET",
        "/item/7",
        404,
        HEADERS,
        body({"error": ERROR["error"] | {"type": "PreconditionFailed"}}),
    ),
    "a request id that is not its own": (
        "GET",
        "/item/7",
        404,
        HEADERS | {"X-Request-ID": "b"},
        body(ERROR),
    ),
    "a header that is not described": (
        "GET",
        "/item",
        200,
        HEADERS | {"X-Powered-By": "me"},
        b"[]",
    ),
    "OPTIONS with a body": ("OPTIONS", "/item", 204, {"X-Request-ID": "a"}, b"x"),
    "OPTIONS with a page": ("OPTIONS", "/item", 200, HEADERS, b"<html>"),
    "a page that is changed": ("DELETE", "/docs/zzz", 200, HEADERS, b"<html>"),
    "an id of another form": ("GET", "/item/07", 200, HEADERS, body(RECORD)),
}


@pytest.mark.parametrize("name", GOOD)
def test_an_answer_as_described_passes(name: str) -> None:
    check(*GOOD[name])


@pytest.mark.parametrize("name", BAD)
def test_any_other_answer_does_not(name: str) -> None:
    with pytest.raises(AssertionError):
        check(*BAD[name])


def test_the_committed_contract_is_the_served_one() -> None:
    assert committed.check(Settings(), []) == 0


def test_a_stale_contract_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = tmp_path / "openapi.json"
    other.write_text(committed.DOCUMENT.read_text().replace("A layered", "Another"))
    monkeypatch.setattr(committed, "DOCUMENT", other)

    with pytest.raises(CommandError, match="not what the code serves"):
        committed.check(Settings(), [])
    committed.write(Settings(), [])
    assert committed.check(Settings(), []) == 0


def test_the_linter_finds_faults(tmp_path: Path) -> None:
    try:
        redocly.install()
    except CommandError as error:
        if os.environ.get("REQUIRE_REDOCLY"):
            raise
        pytest.skip(f"Redocly's linter is not installed. {error}")
    document = committed.served() | {"servers": []}
    path = tmp_path / "openapi.json"
    path.write_text(committed.render(document))

    [fault] = committed.lint(path)
    assert "servers" in fault


def test_without_the_linter_the_rest_is_checked(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("REQUIRE_REDOCLY", raising=False)
    monkeypatch.setattr(redocly, "install", not_installed)

    assert committed.check(Settings(), []) == 0
    assert "Skipped: Redocly's rules for openapi.json. No network." in capsys.readouterr().err


def test_without_the_linter_the_check_fails_if_it_is_required(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("REQUIRE_REDOCLY", "1")
    monkeypatch.setattr(redocly, "install", not_installed)

    with pytest.raises(CommandError, match="No network"):
        committed.check(Settings(), [])


def not_installed() -> None:
    """Stand in for an installation on a machine without a network."""
    raise CommandError("No network.")


def test_breaking_changes_are_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    released = committed.served()
    released["paths"]["/gone"] = {"get": released["paths"]["/livez"]["get"]}
    path = tmp_path / "released.json"
    path.write_text(committed.render(released))
    monkeypatch.setattr(committed, "RELEASED", path)

    with pytest.raises(CommandError, match="GET /gone breaks clients"):
        committed.check(Settings(), [])


def test_an_answer_over_a_raw_socket_is_checked_too() -> None:
    head = b"X-Request-ID: a\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n"
    answered = b"HTTP/1.1 %d \r\n" + head + b"[]"

    check_raw(b"GET /item?limit=1 HTTP/1.1\r\n", answered % 200)
    with pytest.raises(AssertionError):
        check_raw(b"GET /item?limit=1 HTTP/1.1\r\n", answered % 202)
