"""Traces of requests, sent to TRACES_URL by OpenTelemetry: imported only if that is set.

A sampled request is one span, from its head to the last byte of its response, with the spans of its
statements beneath. Spans are sent on a thread of their own; if they can't be, they are dropped.
"""

import logging
import os
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from time import monotonic, time_ns
from typing import Any

import structlog
from opentelemetry import trace
from opentelemetry.context import Context, attach, detach
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import Link, SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from service.common.errors import cut
from service.name import NAME
from service.observed import OBSERVED, Observed, Span, Statement
from service.server.access_log import TRACE_ID
from service.server.methods import known_method
from service.settings import Settings, SettingsError

# A small one, because encoding it delays requests. Spans are sent every five seconds, or sooner if
# there are so many.
BATCH = 128
EXPORT_SECONDS = 5
# How long the last spans may delay the end of the process.
FLUSH_SECONDS = 3
TRACES_LOST = "traces may be lost"
WARNING_SECONDS = 60
FIRST_SERVER_ERROR = 500
# Types of errors beside the status of a response.
DISCONNECTED, INCOMPLETE = "client_disconnected", "incomplete_response"
CONTEXT_HEADERS = {b"traceparent": "traceparent", b"tracestate": "tracestate"}

log = structlog.get_logger("service")
propagator = TraceContextTextMapPropagator()


@contextmanager
def traced(app: Any, settings: Settings) -> Iterator[Any]:
    """Yield the ASGI application with traces; in the end send the last spans.

    Raises SettingsError if OpenTelemetry's own variables are invalid.
    """
    report = LostSpans()
    for name in ("opentelemetry.exporter", "opentelemetry.sdk"):
        logging.getLogger(name).addHandler(report)
    # Its other loggers have messages about what clients send.
    library = logging.getLogger("opentelemetry")
    library.addHandler(logging.NullHandler())
    library.propagate = False
    try:
        exporter = OTLPSpanExporter(endpoint=settings.traces_url, timeout=EXPORT_SECONDS)
        provider = TracerProvider(
            sampler=ParentBased(TraceIdRatioBased(settings.traces_sampling)),
            resource=Resource.create(
                {
                    "service.name": NAME,
                    "host.name": socket.gethostname(),
                    "process.pid": os.getpid(),
                }
            ),
            shutdown_on_exit=False,
        )
        provider.add_span_processor(BatchSpanProcessor(exporter, max_export_batch_size=BATCH))
    except ValueError as error:
        raise SettingsError(f"TRACES_URL: a variable is wrong: {error}.") from error
    # For spans of the project's own.
    trace.set_tracer_provider(provider)
    try:
        yield Traced(app, provider.get_tracer(NAME))
    finally:
        flush(provider)


def flush(provider: TracerProvider, seconds: float = FLUSH_SECONDS) -> None:
    """Send the last spans, but don't wait long: the receiver may not respond."""
    thread = threading.Thread(target=provider.shutdown, daemon=True)
    thread.start()
    thread.join(seconds)
    if thread.is_alive():
        log.warning(TRACES_LOST, cause=f"the last were not sent within {seconds:g} s")


class LostSpans(logging.Handler):
    """Logs why spans can't be sent: one line, at most once a minute."""

    _next = 0.0

    def emit(self, record: logging.LogRecord) -> None:
        """Log what OpenTelemetry has logged."""
        if record.levelno < logging.WARNING or monotonic() < self._next:
            return
        self._next = monotonic() + WARNING_SECONDS
        log.warning(TRACES_LOST, cause=record.getMessage().partition("\n")[0])


class RequestSpan:
    """A request in a trace."""

    def __init__(self, tracer: trace.Tracer, span: trace.Span) -> None:
        self._tracer, self.span = tracer, span

    def add_wait(self, pool: str, seconds: float, calls: int) -> None:
        """Add an event at the end of a wait until a statement could be sent."""
        # The client may have disconnected.
        if self.span.is_recording():
            attributes: dict[str, str | float] = {
                "db.client.connection.pool.name": pool,
                "wait.seconds": seconds,
                **({"batch.requests": calls} if calls > 1 else {}),
            }
            self.span.add_event("waited for the database", attributes)

    def add_statement(self, statement: Statement, sharing: Sequence[Span]) -> None:
        """Add the span of a statement, with a link to and from each request that shares it."""
        operation, table, pool, since, failure = statement
        now = time_ns()
        # A shared statement has a task of its own, without a current span.
        current = trace.get_current_span()
        parent = current if current.is_recording() else self.span
        requests = [one.span for one in sharing if isinstance(one, RequestSpan)]
        links = [Link(one.get_span_context()) for one in requests] if len(requests) > 1 else []
        span = self._tracer.start_span(
            f"{operation} {table}".strip(),
            trace.set_span_in_context(parent),
            SpanKind.CLIENT,
            {
                "db.system.name": "postgresql",
                "db.operation.name": operation,
                "db.client.connection.pool.name": pool,
                **({"db.collection.name": table} if table else {}),
                **({"error.type": failure} if failure else {}),
            },
            links,
            now - round((monotonic() - since) * 1e9),
        )
        if failure:
            span.set_status(Status(StatusCode.ERROR))
        span.end(now)
        for other in requests[1:]:
            if other.is_recording():
                other.add_link(span.get_span_context())


class Traced:
    """An ASGI application, and a span for each of its requests."""

    def __init__(self, app: Any, tracer: trace.Tracer) -> None:
        self._app, self._tracer = app, tracer

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer a request as part of the trace that its `traceparent` names, or of a new one."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        parent = parent_of(scope["headers"])
        method = known_method(scope["method"])
        span = self._tracer.start_span(method, parent, SpanKind.SERVER)
        state = scope.setdefault("state", {})
        # An id that no one else knows, of a trace that is not sent, would lead nowhere.
        if span.is_recording() or parent:
            state[TRACE_ID] = trace.format_trace_id(span.get_span_context().trace_id)
        token = attach(trace.set_span_in_context(span, parent))
        try:
            if span.is_recording():
                await self._record(span, scope, receive, send)
            else:
                await self._app(scope, receive, send)
        finally:
            detach(token)

    async def _record(self, span: trace.Span, scope: Any, receive: Any, send: Any) -> None:
        response = Response(send)
        failure = ""
        token = OBSERVED.set((Observed(RequestSpan(self._tracer, span)),))
        try:
            with structlog.contextvars.bound_contextvars(trace_id=scope["state"][TRACE_ID]):
                await self._app(scope, receive, response.send)
            if not response.is_complete:
                failure = DISCONNECTED
        except BaseException:
            failure = INCOMPLETE
            raise
        finally:
            OBSERVED.reset(token)
            describe(span, scope, response.status, failure)
            span.end()


class Response:
    """The messages of a response: its status, and whether it is complete."""

    status: int | None = None
    is_complete = False

    def __init__(self, send: Any) -> None:
        self._send = send

    async def send(self, message: Any) -> None:
        """Send a message."""
        await self._send(message)
        if message["type"] == "http.response.start":
            self.status = message["status"]
        elif message["type"] == "http.response.body":
            self.is_complete = not message.get("more_body", False)


def parent_of(headers: Sequence[tuple[bytes, bytes]]) -> Context:
    """Return the context of a request (W3C Trace Context); empty if it has none, or a wrong one."""
    found: dict[str, list[str]] = {}
    for name, value in headers:
        if name in CONTEXT_HEADERS:
            found.setdefault(CONTEXT_HEADERS[name], []).append(value.decode("latin-1"))
    return propagator.extract(found, Context()) if found else Context()


def describe(span: trace.Span, scope: Any, status: int | None, failure: str) -> None:
    """Name a request's span by its route, and give it OpenTelemetry's attributes of a server."""
    method, route = scope["method"], scope["state"].get("route", "")
    known = known_method(method)
    span.update_name(f"{'HTTP' if known != method else method} {route}".strip())
    if status is not None and status >= FIRST_SERVER_ERROR:
        failure = failure or str(status)
    attributes = {
        "http.request.method": known,
        "http.request.method_original": cut(method) if known != method else None,
        "http.route": route or None,
        "http.response.status_code": status,
        "url.scheme": scope["scheme"],
        "url.path": cut(scope["raw_path"].decode("ascii", "replace")),
        "client.address": (scope.get("client") or (None,))[0],
        "request.id": scope["state"].get("request_id"),
        "error.type": failure or None,
    }
    span.set_attributes({name: value for name, value in attributes.items() if value is not None})
    if failure and failure != DISCONNECTED:
        span.set_status(Status(StatusCode.ERROR))
