"""How an answer is written to its connection."""

import asyncio
from itertools import pairwise
from typing import Any, cast

import h11
import hypercorn.protocol
import pytest
from hypercorn.asyncio.worker_context import WorkerContext
from hypercorn.config import Config
from hypercorn.events import Closed, Event, RawData
from hypercorn.protocol.events import Body, EndBody, Response, StreamClosed
from hypercorn.protocol.http_stream import HTTPStream
from hypercorn.typing import ConnectionState

from service.common.web import LongSteps
from service.limits import BODIES_IN_TURN, BODY_PARTS, HEAD_BYTES, LONG_BYTES
from service.server import http1
from service.server.bounded_http1 import BoundedConnection
from service.server.http1 import JOINED_BYTES, FairStream, Http1Protocol
from tests.counted import counted

REQUEST = b"GET /item HTTP/1.1\r\nHost: a\r\n\r\n"


class Wire:
    """The events that a protocol sends."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    async def send(self, event: Event) -> None:
        self.events.append(event)

    @property
    def writes(self) -> list[bytes]:
        return [event.data for event in self.events if isinstance(event, RawData)]


@pytest.fixture
def wire() -> Wire:
    return Wire()


@pytest.fixture
def protocol(wire: Wire) -> Http1Protocol:
    """Return a protocol that has read a request."""
    made = Http1Protocol(
        cast("Any", None),
        Config(),
        WorkerContext(None),
        cast("Any", None),
        ConnectionState({}),
        False,  # hypercorn's order.
        None,
        None,
        wire.send,
    )
    connection = cast("h11.Connection", made.connection)
    connection.receive_data(REQUEST)
    assert isinstance(connection.next_event(), h11.Request)
    assert isinstance(connection.next_event(), h11.EndOfMessage)
    return made


def response(length: int) -> Response:
    return Response(1, headers=[(b"content-length", str(length).encode())], status_code=200)


async def test_head_and_body_leave_in_one_write(protocol: Http1Protocol, wire: Wire) -> None:
    await protocol.stream_send(response(2))
    await protocol.stream_send(Body(1, b"[]"))
    await protocol.stream_send(EndBody(1))

    [written] = wire.writes
    assert written.startswith(b"HTTP/1.1 200 ")
    assert written.endswith(b"\r\n\r\n[]")


async def test_a_head_that_is_too_large_is_answered_and_counted(
    protocol: Http1Protocol, wire: Wire
) -> None:
    protocol.connection = BoundedConnection()
    with counted("HEAD_BYTES"):
        await protocol.handle(RawData(REQUEST[:-2] + b"X: ".ljust(HEAD_BYTES.value, b"x")))

    assert wire.writes[0].startswith(b"HTTP/1.1 431 ")


@pytest.mark.limit("LONG_BYTES")
@pytest.mark.parametrize(
    ("size", "waits"), [(LONG_BYTES.value, False), (LONG_BYTES.value + 1, True)]
)
async def test_a_long_head_is_parsed_when_its_turn_comes(
    protocol: Http1Protocol, wire: Wire, size: int, waits: bool
) -> None:
    """Those of all connections may be complete at the same moment."""
    protocol.connection = BoundedConnection()
    protocol.long_steps = LongSteps()
    end = await protocol.long_steps.start()
    # Refused when it is complete.
    await protocol.handle(RawData((REQUEST[:-2] + b"X: \0").ljust(size, b"x")))
    rest = asyncio.create_task(protocol.handle(RawData(b"\r\n\r\n")))
    await asyncio.sleep(0)

    assert bool(wire.writes) is not waits

    end()
    await rest

    assert wire.writes[0].startswith(b"HTTP/1.1 400 ")


async def test_a_head_without_a_body_leaves_with_the_end(
    protocol: Http1Protocol, wire: Wire
) -> None:
    await protocol.stream_send(response(0))
    before = list(wire.writes)
    await protocol.stream_send(EndBody(1))

    assert before == []
    assert [written.count(b"HTTP/1.1") for written in wire.writes] == [1]


async def test_each_later_part_of_a_body_leaves_at_once(
    protocol: Http1Protocol, wire: Wire
) -> None:
    await protocol.stream_send(response(4))
    await protocol.stream_send(Body(1, b"ab"))
    await protocol.stream_send(Body(1, b"cd"))

    assert wire.writes[1:] == [b"cd"]


async def test_a_large_body_is_not_copied(protocol: Http1Protocol, wire: Wire) -> None:
    body = b"x" * (JOINED_BYTES + 1)
    await protocol.stream_send(response(len(body)))
    await protocol.stream_send(Body(1, body))

    written: list[Any] = [*wire.writes]
    beginning, rest = written
    assert beginning.endswith(b"\r\n\r\n" + body[:JOINED_BYTES])
    assert isinstance(rest, memoryview)
    assert rest.obj is body
    assert bytes(rest) == b"x"


async def test_what_follows_a_write_is_known_while_it_waits(
    protocol: Http1Protocol, monkeypatch: pytest.MonkeyPatch
) -> None:
    following = []

    async def send(event: Event) -> None:
        del event
        following.append(protocol.following)

    monkeypatch.setattr(protocol, "send", send)
    await protocol.stream_send(response(JOINED_BYTES + 7))
    await protocol.stream_send(Body(1, b"x" * (JOINED_BYTES + 7)))

    assert following == [7, 0]


async def test_no_request_is_served_after_the_client_has_gone(
    protocol: Http1Protocol,
) -> None:
    protocol.connection = BoundedConnection()
    protocol.connection.receive_data(REQUEST * 3)
    await protocol.handle(Closed())
    await protocol._handle_events()
    await protocol.handle(RawData(REQUEST))

    assert protocol.stream is None
    assert protocol.keep_alive_requests == 0


async def test_no_pipelined_request_waits_after_the_client_has_disconnected(
    protocol: Http1Protocol,
) -> None:
    """Otherwise the connection would be kept forever: it has a second request."""
    reading = asyncio.create_task(protocol.handle(RawData(REQUEST)))
    await asyncio.sleep(0)
    waited = not reading.done()
    await protocol.handle(Closed())
    await asyncio.wait_for(reading, 10)

    assert waited


async def test_no_request_waits_after_the_service_has_stopped(
    protocol: Http1Protocol,
) -> None:
    reading = asyncio.create_task(protocol.handle(RawData(REQUEST)))
    await asyncio.sleep(0)
    await protocol.context.terminated.set()
    await protocol.stream_send(response(0))
    await protocol.stream_send(EndBody(1))
    await protocol.stream_send(StreamClosed(1))
    await asyncio.wait_for(reading, 10)

    assert protocol.connection.our_state is not h11.IDLE


@pytest.mark.limit("BODY_PARTS", "BODIES_IN_TURN")
@pytest.mark.parametrize("bodies", [1, BODIES_IN_TURN.value, 50])
async def test_others_run_between_the_parts_of_bodies(
    monkeypatch: pytest.MonkeyPatch, bodies: int
) -> None:
    most, taken, rounds = BODY_PARTS.value, [], []

    async def take(_stream: HTTPStream, _event: object) -> None:
        """Hand nothing on, so that nothing else gives others their turn."""
        taken.append(1)

    async def other() -> None:
        while True:
            rounds.append(len(taken))
            await asyncio.sleep(0)

    async def send() -> None:
        stream: Any = FairStream.__new__(FairStream)
        stream.scope = {"state": {}}
        for _ in range(5 * most):
            await stream.handle(Body(1, b"x"))

    monkeypatch.setattr(HTTPStream, "handle", take)
    turns = asyncio.Semaphore(BODIES_IN_TURN.value)
    monkeypatch.setattr(FairStream, "turns", turns, raising=False)
    task = asyncio.create_task(other())
    await asyncio.gather(*(send() for _ in range(bodies)))
    task.cancel()

    assert len(taken) == bodies * 5 * most
    # At first each body has parts in a row; then some bodies have, until all others have run.
    steps = sorted(after - before for before, after in pairwise(rounds))
    assert steps[-1] == bodies * most
    assert steps[-2] == min(bodies, BODIES_IN_TURN.value) * most


def test_the_server_uses_it() -> None:
    http1.register(LongSteps())

    assert vars(hypercorn.protocol)["H11Protocol"] is Http1Protocol
