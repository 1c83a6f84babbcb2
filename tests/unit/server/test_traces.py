"""The spans of requests and of shared statements, and what is logged if they can't be sent."""

import asyncio
import logging
import threading
from collections.abc import Iterator
from contextlib import nullcontext
from functools import partial
from time import monotonic
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import Tracer
from opentelemetry.util.types import AttributeValue

from service.logs import configure_logs
from service.observed import OBSERVED, Observed, Statement, note_statement, note_wait
from service.server import traces
from service.server.traces import TRACES_LOST, LostSpans, RequestSpan, Traced, flush, traced
from service.settings import Settings, SettingsError

TRACE, PARENT = "0123456789abcdef" * 2, "fedcba9876543210"
START = {"type": "http.response.start", "status": 200, "headers": []}
PART = {"type": "http.response.body", "body": b"part", "more_body": True}
END = {"type": "http.response.body", "body": b""}
REFUSED = logging.makeLogRecord({"levelno": logging.ERROR, "msg": "refused\ntwice"})


class Memory(InMemorySpanExporter):
    """Spans in memory."""

    def named(self, name: str) -> ReadableSpan:
        [span] = [span for span in self.get_finished_spans() if span.name == name]
        return span


@pytest.fixture
def memory() -> Memory:
    """Return a memory of spans."""
    return Memory()


@pytest.fixture
def tracer(memory: Memory) -> Tracer:
    """Return what begins spans, which the memory gets when they end."""
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(memory))
    return provider.get_tracer("tests")


@pytest.fixture
def observed() -> Iterator[None]:
    """Leave no observed requests to other tests."""
    token = OBSERVED.set(())
    yield
    OBSERVED.reset(token)


def attributes_of(span: ReadableSpan) -> dict[str, AttributeValue]:
    return dict(span.attributes or {})


def ids(spans: object) -> list[int]:
    """Return the ids of spans, or of what links refer to."""
    assert isinstance(spans, (list, tuple))
    return [one.context.span_id for one in spans]


@pytest.mark.usefixtures("observed")
def test_a_shared_statement_is_linked_with_each_traced_request(
    memory: Memory, tracer: Tracer
) -> None:
    names = ("first", "second", "gone")
    spans = [RequestSpan(tracer, tracer.start_span(name)) for name in names]
    # Its client has disconnected.
    spans[2].span.end()
    untraced = Observed()
    requests = [Observed(spans[0]), untraced, Observed(spans[1]), Observed(spans[2])]
    OBSERVED.set(tuple(requests))
    note_wait(requests, "reads", 0.5, 4)
    note_statement(Statement("SELECT", "item", "reads", monotonic(), "57014"))
    for span in spans[:2]:
        span.span.end()
    first, second, gone = map(memory.named, names)
    statement = memory.named("SELECT item")

    assert statement.parent == first.context
    assert ids(statement.links) == ids([first, second, gone])
    assert attributes_of(statement)["error.type"] == "57014"
    assert not statement.status.is_ok
    assert ids(second.links) == ids([statement])
    assert not first.links
    assert not gone.links
    for told in (first, second):
        [event] = told.events
        assert dict(event.attributes or {}) == {
            "db.client.connection.pool.name": "reads",
            "wait.seconds": 0.5,
            "batch.requests": 4,
        }
    assert not gone.events
    assert untraced.pool_seconds == 0.5
    assert untraced.database_seconds > 0


@pytest.mark.usefixtures("observed")
def test_a_statement_is_beneath_a_span_of_the_projects_own(memory: Memory, tracer: Tracer) -> None:
    request = RequestSpan(tracer, tracer.start_span("request"))
    OBSERVED.set((Observed(request),))
    with tracer.start_as_current_span("own"):
        note_statement(Statement("SELECT", "", "reads", monotonic()))
    statement = memory.named("SELECT")

    assert statement.parent == memory.named("own").context
    assert "db.collection.name" not in attributes_of(statement)


@pytest.mark.parametrize(
    ("messages", "error", "failure", "is_ok"),
    [
        ([START, PART, END], None, None, True),
        ([START, PART], None, "client_disconnected", True),
        ([], None, "client_disconnected", True),
        ([START, PART], asyncio.CancelledError(), "incomplete_response", False),
        ([START | {"status": 504}, END], None, "504", False),
    ],
    ids=["complete", "disconnected", "early", "ended", "failed"],
)
async def test_the_span_of_a_request_says_how_it_ended(
    memory: Memory,
    tracer: Tracer,
    messages: list[dict[str, Any]],
    error: BaseException | None,
    failure: str | None,
    is_ok: bool,
) -> None:
    sent: list[object] = []

    async def app(scope: Any, receive: object, send: Any) -> None:
        del receive
        scope["state"]["route"] = "/item/{id}"
        assert len(OBSERVED.get()) == 1
        for message in messages:
            await send(message)
        if error is not None:
            raise error

    async def send(message: object) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "GET",
        "scheme": "http",
        "raw_path": b"/item/7",
        "headers": [(b"traceparent", f"00-{TRACE}-{PARENT}-01".encode())],
    }
    with nullcontext() if error is None else pytest.raises(type(error)):
        await Traced(app, tracer)(scope, None, send)
    span = memory.named("GET /item/{id}")

    assert sent == messages
    assert span.parent is not None
    assert f"{span.parent.trace_id:x} {span.parent.span_id:x}" == f"{TRACE.lstrip('0')} {PARENT}"
    assert attributes_of(span).get("error.type") == failure
    assert span.status.is_ok is is_ok
    assert OBSERVED.get() == ()


def test_a_wrong_variable_of_opentelemetry_is_one_clear_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OTEL_ATTRIBUTE_COUNT_LIMIT", "many")
    settings = Settings(traces_url="http://localhost:4318")

    with (
        pytest.raises(SettingsError, match=r"^TRACES_URL: .*OTEL_ATTRIBUTE_COUNT_LIMIT must .+\.$"),
        traced(None, settings),
    ):
        pass


def test_the_reason_is_logged_once_a_minute(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    configure_logs(Settings())
    lost = LostSpans()
    lost.emit(logging.makeLogRecord({"levelno": logging.INFO, "msg": "all is well"}))
    for moment in (1000, 1001, 1059, 1060.5, 1061):
        monkeypatch.setattr(traces, "monotonic", partial(float, moment))
        lost.emit(REFUSED)
    lines = capsys.readouterr().out.splitlines()

    assert len(lines) == 2
    assert all(TRACES_LOST in line and "cause=refused" in line for line in lines)


def test_a_receiver_that_never_answers_does_not_delay_the_end(
    capsys: pytest.CaptureFixture[str],
) -> None:
    configure_logs(Settings())
    answered = threading.Event()

    class Silent(SpanProcessor):
        def shutdown(self) -> None:
            answered.wait()

    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(Silent())
    flush(provider, 0.01)
    answered.set()

    assert "the last were not sent within 0.01 s" in capsys.readouterr().out
