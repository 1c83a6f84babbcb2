"""A receiver of traces: OTLP over HTTP, as a collector of OpenTelemetry."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span as Message

from tests.waiting import wait_until


@dataclass(frozen=True)
class Span:
    """A span that was received; ids in hexadecimal digits, times in nanoseconds."""

    name: str
    kind: str
    trace_id: str
    id: str
    parent_id: str
    start: int
    end: int
    is_error: bool
    attributes: dict[str, Any]
    # The attributes of each event.
    events: list[dict[str, Any]]
    # The ids of the linked spans.
    links: list[str]


@dataclass
class Collector:
    """What a receiver has received."""

    url: str
    spans: list[Span] = field(default_factory=list)
    resources: list[dict[str, Any]] = field(default_factory=list)

    def server_span(self, path: str) -> Span:
        """Return the span of the last request for a path, when it has arrived."""
        return self.wait_for(lambda span: span.attributes.get("url.path") == path)

    def answered(self, response: httpx.Response) -> Span:
        """Return the span of the request of a response, when it has arrived."""
        name = response.headers["X-Request-ID"]
        return self.wait_for(lambda span: span.attributes.get("request.id") == name)

    def wait_for(self, wanted: Callable[[Span], bool]) -> Span:
        """Return the last such span, when one has arrived."""
        wait_until(lambda: any(map(wanted, self.spans)))
        return [span for span in self.spans if wanted(span)][-1]

    def beneath(self, parent: Span) -> list[Span]:
        """Return the received spans beneath another one."""
        return [span for span in self.spans if span.parent_id == parent.id]

    def receive(self, data: bytes) -> None:
        """Add the spans of a request."""
        for resource in ExportTraceServiceRequest.FromString(data).resource_spans:
            self.resources.append(_values(resource.resource.attributes))
            for scope in resource.scope_spans:
                self.spans += map(_span, scope.spans)


def _span(message: Message) -> Span:
    return Span(
        name=message.name,
        kind=Message.SpanKind.Name(message.kind).removeprefix("SPAN_KIND_"),
        trace_id=message.trace_id.hex(),
        id=message.span_id.hex(),
        parent_id=message.parent_span_id.hex(),
        start=message.start_time_unix_nano,
        end=message.end_time_unix_nano,
        is_error=message.status.code == message.status.STATUS_CODE_ERROR,
        attributes=_values(message.attributes),
        events=[_values(event.attributes) for event in message.events],
        links=[link.span_id.hex() for link in message.links],
    )


def _values(attributes: Any) -> dict[str, Any]:
    return {one.key: _value(one.value) for one in attributes}


def _value(value: AnyValue) -> Any:
    return getattr(value, str(value.WhichOneof("value")))


@contextmanager
def collecting() -> Iterator[Collector]:
    """Run a receiver."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            data = self.rfile.read(int(self.headers["Content-Length"]))
            is_right = self.path == "/v1/traces"
            if is_right:
                collector.receive(data)
            self.send_response(200 if is_right else 404)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            del format, args

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        collector = Collector(f"http://127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield collector
        finally:
            server.shutdown()
            thread.join()
