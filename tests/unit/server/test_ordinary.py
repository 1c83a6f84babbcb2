"""Ordinary requests are read as h11 reads them, and answered as through h11."""

import asyncio
from typing import Any

import h11
import pytest
from hypercorn.asyncio.task_group import TaskGroup
from hypercorn.asyncio.worker_context import WorkerContext
from hypercorn.config import Config
from hypercorn.events import Closed, Event, RawData
from hypercorn.typing import ConnectionState
from hypothesis import example, given
from hypothesis import strategies as st

from service.common.web import GIVE_UP
from service.limits import HEAD_BYTES, HEADER_FIELDS
from service.server import http1
from service.server.bounded_http1 import BoundedConnection
from service.server.http1 import Http1Protocol
from service.server.ordinary import OrdinaryRequest, read_request

GET = b"GET /item?a=b HTTP/1.1\r\nHost: x\r\nAccept: a, b \t\r\nX-Empty:\r\n\r\n"
POST = b"POST /item HTTP/1.1\r\nhost:x\r\nContent-Length: 5\r\nConnection: Keep-Alive\r\n\r\n12345"
# What a mutation inserts, or puts in the place of a byte.
PIECES = [
    *(b" ", b"\t", b"\r", b"\n", b"\r\n", b"\0", b"\x01", b"\v", b"\x7f", b"\x85", b"\xff"),
    *(b":", b",", b"/", b"A", b"a", b"1", b"0", b"Host: y\r\n", b"Content-Length: 5\r\n"),
    *(b"Content-Length: 4\r\n", b"Transfer-Encoding: chunked\r\n", b"Connection: close\r\n"),
    *(b"Expect: 100-continue\r\n", b"Upgrade: h2c\r\n", b" folded\r\n", b"HTTP/1.0", b"CONNECT "),
    *(b"+", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
]
mutations = st.lists(
    st.tuples(st.integers(0, 120), st.integers(0, 12), st.sampled_from(PIECES)), max_size=3
)
NOT_ORDINARY = {
    "part of a head": GET[:-1],
    "part of a body": POST[:-1],
    "bare line feeds": GET.replace(b"\r\n", b"\n"),
    "an empty line before it": b"\r\n" + GET,
    "HTTP/0.9": b"GET /item\r\n\r\n",
    "HTTP/1.0": GET.replace(b"1.1", b"1.0"),
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "two spaces": GET.replace(b"GET ", b"GET  "),
    "no host": GET.replace(b"Host", b"Hos"),
    "two hosts": GET.replace(b"Accept", b"Host"),
    "a lower-case method": GET.replace(b"GET", b"get"),
    "CONNECT": GET.replace(b"GET", b"CONNECT"),
    "RTSP": GET.replace(b"HTTP/1.1", b"RTSP/1.0"),
    "a folded field": GET.replace(b"\r\nX-", b"\r\n X-"),
    "a space before the colon": GET.replace(b"Accept:", b"Accept :"),
    "a control character": GET.replace(b"a, b", b"a\x01b"),
    "a closed connection": POST.replace(b"Keep-Alive", b"close"),
    "an upgrade": GET.replace(b"Accept", b"Upgrade"),
    "an expectation": GET.replace(b"Accept: a, b", b"Expect: 100-continue"),
    "chunks": GET.replace(b"Accept: a, b", b"Transfer-Encoding: chunked"),
    "two lengths": POST.replace(b"Connection: Keep-Alive", b"Content-Length: 5"),
    "a list of lengths": POST.replace(b" 5", b" 5, 5"),
    "a signed length": POST.replace(b" 5", b" +5"),
    "too many fields": GET.replace(b"X-Empty:", b"X-Empty:\r\nA:" * HEADER_FIELDS.value),
    "a head that is too large": GET.replace(b"a, b", b"a" * HEAD_BYTES.value),
}


def mutated(request: bytes, changes: list[tuple[int, int, bytes]]) -> bytes:
    for at, number, piece in changes:
        request = request[:at] + piece + request[at + number :]
    return request


def by_h11(data: bytes, end: int) -> OrdinaryRequest:
    """Return what h11 reads from the same bytes, and that it left those from `end` on."""
    connection = BoundedConnection()
    connection.receive_data(data)
    request = connection.next_event()
    assert isinstance(request, h11.Request)
    assert request.http_version == b"1.1"
    body = b""
    while isinstance(event := connection.next_event(), h11.Data):
        body += event.data
    assert isinstance(event, h11.EndOfMessage)
    assert not connection.they_are_waiting_for_100_continue
    assert connection.trailing_data[0] == data[end:]
    connection.send(h11.Response(status_code=204, headers=[]))
    connection.send(h11.EndOfMessage())
    connection.start_next_cycle()
    return OrdinaryRequest(
        request.method.decode(), request.target, list(request.headers), body, end
    )


@given(st.sampled_from([GET, POST, POST + GET]), mutations)
@example(GET, [])
@example(POST, [])
@example(POST + GET, [])
def test_an_ordinary_request_is_what_h11_reads(
    request: bytes, changes: list[tuple[int, int, bytes]]
) -> None:
    data = mutated(request, changes)
    found = read_request(data)

    if found is None:
        assert changes
    else:
        assert found == by_h11(data, found.end)


@pytest.mark.parametrize("data", NOT_ORDINARY.values(), ids=NOT_ORDINARY)
def test_other_requests_are_left_to_h11(data: bytes) -> None:
    assert read_request(data) is None


class Wire:
    """A client that reads everything."""

    def __init__(self) -> None:
        self.written = b""
        self.is_closed = False

    async def send(self, event: Event) -> None:
        if isinstance(event, RawData):
            self.written += bytes(event.data)
        elif isinstance(event, Closed):
            self.is_closed = True


class Silent(Config):
    """hypercorn's configuration with a fixed date, and logs that the test reads."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[Any] = []

    @property
    def log(self) -> Any:
        return self

    async def access(self, scope: Any, response: Any, seconds: float) -> None:
        del seconds
        self.lines.append((scope["raw_path"], response and response["status"]))

    async def exception(self, message: str) -> None:
        self.lines.append(message)

    def response_headers(self, protocol: str) -> list[tuple[bytes, bytes]]:
        del protocol
        return [(b"date", b"today")]


Answer = tuple[int, list[tuple[bytes, bytes]], list[bytes]]


def protocol_of(app: Any, config: Config, group: TaskGroup, wire: Wire) -> Http1Protocol:
    return Http1Protocol(
        app,
        config,
        WorkerContext(None),
        group,
        ConnectionState({GIVE_UP: None}),
        False,  # hypercorn's order.
        ("192.0.2.1", 1),
        ("192.0.2.2", 2),
        wire.send,
    )


async def exchange(
    sent: list[bytes], answer: Answer, *, is_last: bool = False
) -> tuple[bytes, bool, list[Any], list[Any]]:
    """Send requests, and return what was written, whether it closed, the log and the scopes."""
    wire, config, scopes = Wire(), Silent(), list[Any]()
    status, headers, parts = answer

    async def app(scope: Any, receive: Any, send: Any, *_: Any) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message["body"], message["more_body"]
        scopes.append({**scope, "state": {**scope["state"], "body": body}})
        await send({"type": "http.response.start", "status": status, "headers": headers})
        for part in parts:
            await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    async with TaskGroup(asyncio.get_running_loop()) as group:
        protocol = protocol_of(app, config, group, wire)
        if is_last:
            protocol.keep_alive_requests = config.keep_alive_max_requests
        for data in sent:
            await protocol.handle(RawData(data))
    return wire.written, wire.is_closed, config.lines, scopes


def in_any_order(response: bytes) -> tuple[set[bytes], bytes]:
    """Return the lines of a head, in lower case, and what follows it."""
    head, _, body = response.partition(b"\r\n\r\n")
    return set(head.lower().split(b"\r\n")), body


ANSWERS: dict[str, Answer] = {
    "a length": (200, [(b"Content-Length", b"5")], [b"12", b"345"]),
    "no length": (200, [(b"a", b" b ")], [b"12", b"345"]),
    "an empty body": (200, [(b"content-length", b"0")], []),
    "no body": (204, [], []),
    "not modified": (304, [(b"etag", b'"1"')], []),
    "the last, in capitals": (
        200,
        [(b"Connection", b"Close"), (b"content-length", b"0")],
        [],
    ),
    "the last": (503, [(b"Connection", b"close"), (b"content-length", b"2")], [b"{}"]),
    "a long body": (200, [(b"content-length", b"99999")], [b"a" * 99999]),
}


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
@pytest.mark.parametrize("method", [b"GET", b"HEAD", b"POST"])
@pytest.mark.parametrize("is_last", [False, True])
async def test_the_answer_is_that_of_h11(
    monkeypatch: pytest.MonkeyPatch, answer: Answer, method: bytes, *, is_last: bool
) -> None:
    data = POST.replace(b"POST", method)
    ordinary = await exchange([data], answer, is_last=is_last)
    monkeypatch.setattr(http1, "read_request", lambda *_: None)
    other = await exchange([data], answer, is_last=is_last)

    assert ordinary[3]
    assert in_any_order(ordinary[0]) == in_any_order(other[0])
    assert ordinary[1:] == other[1:]


CHUNKED = b"POST /c HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"


@pytest.mark.parametrize("pieces", [1, 7], ids=["at once", "in pieces"])
@pytest.mark.parametrize(
    "requests",
    [GET * 3, GET + CHUNKED + POST, CHUNKED + GET + CHUNKED, GET + b"\r\n\r\n"],
    ids=[
        "ordinary ones",
        "chunks between",
        "chunks around",
        "a bad one behind",
    ],
)
async def test_pipelined_requests_are_answered_in_order(
    monkeypatch: pytest.MonkeyPatch, requests: bytes, pieces: int
) -> None:
    size = -(-len(requests) // pieces)
    parts = [requests[at : at + size] for at in range(0, len(requests), size)]
    ordinary = await exchange(parts, ANSWERS["a length"])
    monkeypatch.setattr(http1, "read_request", lambda *_: None)
    other = await exchange(parts, ANSWERS["a length"])

    assert ordinary[3]
    assert ordinary == other


@pytest.mark.parametrize(
    "answer",
    [
        (200, [(b"a", b"b\r\nc: d")], [b"12"]),
        (200, [(b"a", b"b\rc")], [b"12"]),
        (200, [(b"a", b"b\0c")], [b"12"]),
        (200, [(b"content-length", b"1")], [b"12"]),
    ],
    ids=["a line end in a header", "a carriage return", "a NUL", "a body that is too long"],
)
async def test_a_response_that_would_be_malformed_is_a_500(answer: Answer) -> None:
    written, is_closed, lines, _ = await exchange([GET], answer)

    assert written.startswith(b"HTTP/1.1 500 \r\n")
    assert is_closed
    assert lines == ["Error in ASGI Framework", (b"/item", 500)]


@pytest.fixture(params=["ordinary", "h11"])
def either_way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run a test with ordinary requests, and with h11 for all."""
    if request.param == "h11":
        monkeypatch.setattr(http1, "read_request", lambda *_: None)


@pytest.mark.usefixtures("either_way")
async def test_a_client_that_has_left_gets_no_500() -> None:
    wire, config, has_left = Wire(), Silent(), asyncio.Event()

    async def app(*_: Any) -> None:
        await has_left.wait()

    async with TaskGroup(asyncio.get_running_loop()) as group:
        protocol = protocol_of(app, config, group, wire)
        await protocol.handle(RawData(GET))
        await protocol.handle(Closed())
        has_left.set()

    assert wire.written == b""
    assert config.lines == [(b"/item", None)]


@pytest.mark.parametrize("behind", [POST, CHUNKED], ids=["ordinary", "chunks"])
@pytest.mark.parametrize("is_last", [True, False], ids=["the server closes", "the answer closes"])
async def test_what_follows_the_last_request_is_not_processed(
    behind: bytes, *, is_last: bool
) -> None:
    answer = ANSWERS["a length" if is_last else "the last"]
    _, is_closed, lines, scopes = await exchange([GET + behind, behind], answer, is_last=is_last)

    assert is_closed
    assert len(scopes) == len(lines) == 1


@pytest.mark.usefixtures("either_way")
async def test_a_response_that_fails_midway_is_reported() -> None:
    wire, config = Wire(), Silent()

    async def app(scope: Any, receive: Any, send: Any, *_: Any) -> None:
        del scope, receive
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"1", "more_body": True})
        raise RuntimeError

    async with TaskGroup(asyncio.get_running_loop()) as group:
        protocol = protocol_of(app, config, group, wire)
        await protocol.handle(RawData(GET))

    assert wire.is_closed
    assert config.lines == ["Error in ASGI Framework", (b"/item", None)]


@pytest.mark.usefixtures("either_way")
async def test_the_end_of_the_input_within_a_head_is_answered() -> None:
    written, is_closed, _, scopes = await exchange([GET[:-2], b""], ANSWERS["a length"])

    assert written.startswith(b"HTTP/1.1 400 ")
    assert is_closed
    assert not scopes


async def test_a_body_without_a_status_is_a_500_and_a_head_waits_for_its_body() -> None:
    wire, config, before_body = Wire(), Silent(), list[bytes]()

    async def app(scope: Any, receive: Any, send: Any, *_: Any) -> None:
        del receive
        if scope["method"] == "GET":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"", "more_body": True})
            before_body.append(wire.written)
        await send({"type": "http.response.body", "body": b"1"})

    async with TaskGroup(asyncio.get_running_loop()) as group:
        protocol = protocol_of(app, config, group, wire)
        await protocol.handle(RawData(GET + POST))

    assert before_body == [b""]
    assert config.lines == [(b"/item", 200), "Error in ASGI Framework", (b"/item", 500)]


async def test_a_request_that_can_not_be_logged_does_not_hold_its_connection() -> None:
    class Broken(Silent):
        """A log that fails."""

        async def access(self, scope: Any, response: Any, seconds: float) -> None:
            await super().access(scope, response, seconds)
            raise OSError

    wire, config = Wire(), Broken()

    async def app(scope: Any, receive: Any, send: Any, *_: Any) -> None:
        del scope, receive
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async with TaskGroup(asyncio.get_running_loop()) as group:
        protocol = protocol_of(app, config, group, wire)
        await protocol.handle(RawData(GET * 2))

    assert wire.written.count(b"HTTP/1.1 204 ") == 2
