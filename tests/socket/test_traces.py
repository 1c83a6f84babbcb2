"""Traces of a running service, as a receiver of OTLP gets them."""

import asyncio
import json
import secrets
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from service.name import NAME
from service.server.run import with_traces
from service.server.traces import TRACES_LOST
from service.settings import Settings, SettingsError
from tests.app import create_app
from tests.collector import Collector, Span, collecting
from tests.factories import item
from tests.ports import free_port
from tests.socket.conftest import KEY, Service, running

AUTH = {"X-API-Key": KEY}
# The log then has every import.
PROGRAM = ("-X", "importtime", "-m", "tests.served")
LIBRARY = "opentelemetry"
# Spans are sent soon.
SOON = {"LOG_FORMAT": "json", "OTEL_BSP_SCHEDULE_DELAY": "100"}
EVERY = {"TRACES_SAMPLING": "1", **SOON}
# No PostgreSQL listens there.
NOWHERE = "postgresql://postgres@127.0.0.1:1/postgres"


class Traced(NamedTuple):
    """A running service, and the receiver of its traces."""

    service: Service
    collector: Collector

    def get(self, path: str, **headers: str) -> httpx.Response:
        return httpx.get(f"{self.service.url}{path}", headers=AUTH | headers)

    def create(self) -> str:
        """Create an item and return its path."""
        created = httpx.post(f"{self.service.url}/item", json=item(), headers=AUTH)
        return created.headers["Location"]


class Trace(NamedTuple):
    """A trace that a client has begun, and its span."""

    id: str
    parent: str

    def header(self, *, sampled: bool = True) -> str:
        return f"00-{self.id}-{self.parent}-0{int(sampled)}"


@pytest.fixture
def trace() -> Trace:
    """Return a new trace."""
    return Trace(secrets.token_hex(16), secrets.token_hex(8))


@pytest.fixture(scope="module")
def traced(tmp_path_factory: pytest.TempPathFactory, database_url: str) -> Iterator[Traced]:
    """Start a service of which every request is traced."""
    directory = tmp_path_factory.mktemp("traces")
    with (
        collecting() as collector,
        running(
            directory, database_url, PROGRAM, TRACES_URL=collector.url, SERVER_TIMING="1", **EVERY
        ) as service,
    ):
        yield Traced(service, collector)


@pytest.fixture(scope="module")
def unready(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Traced]:
    """Start a service without a database that begins no traces."""
    directory = tmp_path_factory.mktemp("unready")
    with (
        collecting() as collector,
        running(
            directory, NOWHERE, TRACES_URL=collector.url, TRACES_SAMPLING="0", **SOON
        ) as service,
    ):
        yield Traced(service, collector)


def access_line(service: Service, request_id: str) -> dict[str, object]:
    """Return the line of a request in the access log, when it is there."""
    service.wait_for(f'"request_id":"{request_id}"')
    lines = service.log.read_text().splitlines()
    found = [json.loads(line) for line in lines if request_id in line and '"status"' in line]
    return dict(found[-1])


def test_a_request_is_a_span_with_its_statement_beneath(traced: Traced, trace: Trace) -> None:
    path = traced.create()
    response = traced.get(f"{path}?only=name", traceparent=trace.header())

    span = traced.collector.server_span(path)
    assert (span.name, span.kind) == ("GET /item/{id}", "SERVER")
    assert (span.trace_id, span.parent_id) == trace
    assert span.attributes == {
        "http.request.method": "GET",
        "http.route": "/item/{id}",
        "http.response.status_code": 200,
        "url.scheme": "http",
        "url.path": path,
        "client.address": "127.0.0.1",
        "request.id": response.headers["X-Request-ID"],
    }
    # On a slow machine the read is cancelled, and repeated as a costly one.
    *_, statement = traced.collector.beneath(span)
    assert (statement.name, statement.kind) == ("SELECT item", "CLIENT")
    assert statement.attributes == {
        "db.system.name": "postgresql",
        "db.operation.name": "SELECT",
        "db.collection.name": "item",
        "db.client.connection.pool.name": span.events[-1]["db.client.connection.pool.name"],
    }
    assert span.start <= statement.start <= statement.end <= span.end
    assert span.events[0]["db.client.connection.pool.name"] == "reads"
    assert not span.is_error
    assert "traceparent" not in response.headers
    assert access_line(traced.service, response.headers["X-Request-ID"])["trace_id"] == trace.id
    assert traced.collector.resources[0]["service.name"] == NAME


def test_a_transaction_has_a_span_for_each_statement_and_the_commit(traced: Traced) -> None:
    key = secrets.token_hex(8)
    response = httpx.post(
        f"{traced.service.url}/item", json=item(), headers=AUTH | {"Idempotency-Key": key}
    )

    span = traced.collector.answered(response)
    names = [one.name for one in sorted(traced.collector.beneath(span), key=lambda one: one.start)]
    assert names[-1] == "COMMIT"
    assert {"INSERT idempotencykey", "INSERT item"} <= {*names}


def test_a_path_without_a_route_names_no_span(traced: Traced) -> None:
    traced.get("/nowhere/7")
    unknown = f"/{secrets.token_hex(8)}"
    traced.service.raw(f"BREW {unknown} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode())

    span = traced.collector.server_span("/nowhere/7")
    assert span.name == "GET"
    assert "http.route" not in span.attributes
    assert span.attributes["http.response.status_code"] == 404
    assert not span.is_error
    span = traced.collector.server_span(unknown)
    assert span.name == "HTTP"
    assert span.attributes["http.request.method"] == "_OTHER"
    assert span.attributes["http.request.method_original"] == "BREW"


@pytest.mark.parametrize("header", ["", "x", f"00-{'0' * 32}-{'0' * 16}-01", "0" * 5000, "\xe9"])
def test_a_wrong_parent_begins_a_trace(traced: Traced, header: str) -> None:
    path = f"/{secrets.token_hex(8)}"
    traced.service.raw(
        f"GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"
        f"traceparent: {header}\r\ntracestate: \r\n\r\n".encode("latin-1")
    )

    assert traced.collector.server_span(path).parent_id == ""
    assert TRACES_LOST not in traced.service.log.read_text()


async def test_a_shared_statement_is_linked_to_all_its_requests(traced: Traced) -> None:
    paths = [traced.create() for _ in range(20)]
    shared: list[Span] = []
    async with httpx.AsyncClient(base_url=traced.service.url, headers=AUTH) as client:
        while not shared:
            answers = await asyncio.gather(*map(client.get, paths))
            found = [await asyncio.to_thread(traced.collector.answered, one) for one in answers]
            requests = {span.id: span for span in found}
            shared = [
                span
                for span in traced.collector.spans
                if span.kind == "CLIENT" and len(span.links) > 1 and span.parent_id in requests
            ]

    for statement in shared:
        assert statement.name == "SELECT item"
        assert set(statement.links) <= requests.keys()
        assert statement.parent_id == statement.links[0]
        for number, one in enumerate(statement.links):
            numbers = [event.get("batch.requests") for event in requests[one].events]
            assert len(statement.links) in numbers
            assert (statement.id in requests[one].links) is (number > 0)
    # Each request has its statement: as the parent's, or by a link.
    linked = {one for statement in shared for one in statement.links}
    for span in requests.values():
        assert span.id in linked or traced.collector.beneath(span)


@pytest.fixture(scope="module")
async def many(engine: AsyncEngine) -> AsyncIterator[None]:
    """Store more than the buffers of a connection hold.

    The rest takes longer to send than HALF_CLOSED_MILLISECONDS.
    """
    async with engine.begin() as connection:
        await connection.execute(
            text(
                "INSERT INTO item (name, email) SELECT repeat('n', 200), 'traced' || n || '@a.org'"
                " FROM generate_series(1, 40000) AS n"
            )
        )
    yield
    async with engine.begin() as connection:
        await connection.execute(text("DELETE FROM item WHERE email LIKE 'traced%'"))


def export(traced: Traced) -> AbstractContextManager[httpx.Response]:
    headers = AUTH | {"Accept": "application/x-ndjson"}
    return httpx.stream("GET", f"{traced.service.url}/item", headers=headers)


@pytest.mark.usefixtures("many")
def test_a_stream_ends_with_its_last_byte(traced: Traced) -> None:
    with export(traced) as response:
        # The rest is more than the buffers hold.
        moment = time.time_ns()
        size = sum(map(len, response.iter_bytes()))

    span = traced.collector.answered(response)
    assert size > 10_000_000
    assert span.name == "GET /item"
    assert span.start < moment < span.end
    assert not span.is_error
    [statement] = traced.collector.beneath(span)
    assert statement.name == "SELECT item"
    assert statement.attributes["db.client.connection.pool.name"] == "bulk"


@pytest.mark.usefixtures("many")
def test_a_stream_ends_when_its_client_leaves(traced: Traced) -> None:
    with export(traced) as response:
        pass

    span = traced.collector.answered(response)
    assert span.attributes["error.type"] == "client_disconnected"
    assert span.attributes["http.response.status_code"] == 200
    assert not span.is_error


def test_a_request_is_timed_and_traced_at_once(traced: Traced) -> None:
    path = traced.create()
    response = traced.get(path, Prefer="server-timing")

    assert response.headers["Server-Timing"].startswith("app;dur=")
    assert traced.collector.beneath(traced.collector.server_span(path))


def test_a_failure_is_an_error_of_its_span(unready: Traced, trace: Trace) -> None:
    response = unready.get("/item/1", traceparent=trace.header())

    assert response.status_code == 503
    span = unready.collector.server_span("/item/1")
    assert span.is_error
    assert span.attributes["error.type"] == "503"
    assert f'"trace_id":"{trace.id}"' in next(
        line for line in unready.service.log.read_text().splitlines() if "DATABASE_URL" in line
    )


def test_with_a_sampling_of_zero_only_requests_of_sampled_traces_are_sent(
    unready: Traced, trace: Trace
) -> None:
    for _ in range(20):
        unready.get("/livez?own")
    unsampled = unready.get("/livez", traceparent=trace.header(sampled=False))
    own = unready.get("/livez")
    unready.get("/openapi.json", traceparent=trace.header())

    assert unready.collector.server_span("/openapi.json").trace_id == trace.id
    assert "/livez" not in {span.attributes["url.path"] for span in unready.collector.spans}
    # A trace that someone else knows is in the log.
    line = access_line(unready.service, unsampled.headers["X-Request-ID"])
    assert line["trace_id"] == trace.id
    assert "trace_id" not in access_line(unready.service, own.headers["X-Request-ID"])


@pytest.mark.parametrize("accepts", [False, True], ids=["down", "silent"])
def test_a_receiver_that_does_not_answer_hurts_no_request(
    tmp_path: Path, database_url: str, accepts: bool
) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", free_port()))
        if accepts:
            silent.listen()
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with (
            running(tmp_path, database_url, TRACES_URL=url, **EVERY) as service,
            httpx.Client(base_url=service.url) as client,
        ):
            statuses = {client.get("/livez").status_code for _ in range(100)}
            service.process.terminate()
            code = service.process.wait(60)

    log = service.log.read_text()
    assert statuses == {200}
    assert code == 0
    assert TRACES_LOST in log
    assert "Traceback" not in log


def test_the_last_spans_are_sent_at_the_end(tmp_path: Path) -> None:
    with (
        collecting() as collector,
        running(tmp_path, NOWHERE, TRACES_URL=collector.url, **EVERY) as service,
    ):
        httpx.get(f"{service.url}/openapi.json")
        service.process.send_signal(signal.SIGTERM)
        code = service.process.wait(60)

        assert code == 0
        assert "GET /openapi.json" in {span.name for span in collector.spans}


def test_without_the_setting_opentelemetry_is_not_imported(tmp_path: Path, traced: Traced) -> None:
    with running(tmp_path, NOWHERE, PROGRAM) as service:
        httpx.get(f"{service.url}/item/1", headers=AUTH)

    assert "hypercorn" in service.log.read_text()
    assert LIBRARY not in service.log.read_text()
    assert LIBRARY in traced.service.log.read_text()


def test_a_missing_package_is_one_clear_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, LIBRARY, None)
    monkeypatch.delitem(sys.modules, "service.server.traces", raising=False)
    settings = Settings(traces_url="http://localhost:4318")

    with pytest.raises(SettingsError, match=r"^TRACES_URL: opentelemetry is missing: .+\.$"):
        with_traces(create_app(settings), settings)
