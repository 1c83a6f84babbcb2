"""Which connections get a place, which wait, and which are closed for another one."""

import asyncio
import socket
from collections.abc import Iterator

import orjson
import pytest

from service import connections as module
from service.common import limits
from service.connections import Connections, refuse

REQUEST = b"GET /foss HTTP/1.1\r\nHost: a\r\nX-Request-ID: mine\r\n\r\n"


class Served:
    """A connection as the server has it."""

    def __init__(self, *, waits_since: float | None = None, opened_at: float = 0) -> None:
        self._waits_since = waits_since
        self._opened_at = opened_at
        self.fate = ""

    def waits_since(self) -> float | None:
        return self._waits_since

    def opened_at(self) -> float:
        return self._opened_at

    def close_for_another(self) -> None:
        self.fate = "closed"

    def close_after_answer(self) -> None:
        self.fate = "closes after its answer"


class Door:
    """Clients that come, and those of them that are served."""

    def __init__(self, limit: int) -> None:
        self.connections = Connections(limit)
        self.served: list[socket.socket] = []
        self._open: list[socket.socket] = []

    def arrive(self, sent: bytes = b"") -> tuple[socket.socket, socket.socket]:
        client, server = socket.socketpair()
        self._open += [client, server]
        server.setblocking(False)
        client.sendall(sent)
        self.connections.arrive(server, self.served.append)
        return client, server

    def begin(self, connection: Served) -> int:
        """Have one arrive and begin; return its number."""
        _, server = self.arrive()
        assert self.connections.enter(server.fileno(), connection)
        return server.fileno()

    def close(self) -> None:
        self.connections.close()
        for one in self._open:
            one.close()


@pytest.fixture
def door() -> Iterator[Door]:
    door = Door(2)
    yield door
    # The loop has ended by now.
    vars(door.connections)["_waiting"].clear()
    door.close()


async def test_beyond_the_limit_a_client_waits_until_one_leaves(door: Door) -> None:
    first = Served()
    number = door.begin(first)
    door.begin(Served())
    _, third = door.arrive()
    before = len(door.served)
    door.connections.leave(number, first)

    assert before == 2
    assert door.served[2:] == [third]


async def test_a_client_that_has_waited_for_too_long_is_refused(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "QUEUE_SECONDS", limits.QUEUE_SECONDS._replace(value=0))
    door.arrive()
    door.arrive()
    client, _ = door.arrive(REQUEST)
    await asyncio.sleep(0.01)
    head, _, body = client.recv(4096).partition(b"\r\n\r\n")

    assert head.startswith(b"HTTP/1.1 503 ")
    assert b"retry-after: 1" in head
    assert b"connection: close" in head
    assert orjson.loads(body)["error"]["request_id"] == "mine"
    assert orjson.loads(body)["error"]["type"] == "Unavailable"
    assert client.recv(1) == b""
    assert len(door.served) == 2


@pytest.mark.limit("WAITING_CONNECTIONS")
async def test_if_too_many_wait_the_first_of_them_is_refused(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = limits.WAITING_CONNECTIONS._replace(value=2)
    monkeypatch.setattr(limits, "WAITING_CONNECTIONS", few)
    door.arrive()
    door.arrive()
    waiting = [door.arrive(REQUEST)[0] for _ in range(2)]
    for client in waiting:
        client.setblocking(False)
        with pytest.raises(BlockingIOError):
            client.recv(1)
    door.arrive()

    assert waiting[0].recv(4096).startswith(b"HTTP/1.1 503 ")
    with pytest.raises(BlockingIOError):
        waiting[1].recv(1)


@pytest.mark.parametrize("target", ["GET /livez HTTP/1.1", "HEAD /readyz?x HTTP/1.1"])
async def test_health_is_served_without_a_place(door: Door, target: str) -> None:
    door.arrive()
    door.arrive()
    _, server = door.arrive(f"{target}\r\n\r\n".encode())
    await asyncio.sleep(0.01)

    assert door.served[2:] == [server]
    assert not door.connections.enter(server.fileno(), Served())


async def test_a_client_that_leaves_while_it_waits_is_forgotten(door: Door) -> None:
    first = Served()
    number = door.begin(first)
    door.arrive()
    client, _ = door.arrive()
    client.close()
    await asyncio.sleep(0.01)
    door.connections.leave(number, first)
    door.arrive()

    assert len(door.served) == 3


@pytest.mark.limit("IDLE_SECONDS_FOR_OTHERS")
@pytest.mark.parametrize(
    ("waits", "opened", "fate"),
    [
        (module.IDLE_SECONDS_FOR_OTHERS, 60, "closed"),
        (
            module.IDLE_SECONDS_FOR_OTHERS - 1,
            module.IDLE_SECONDS_FOR_OTHERS,
            "closes after its answer",
        ),
        (None, module.IDLE_SECONDS_FOR_OTHERS, "closes after its answer"),
        (module.IDLE_SECONDS_FOR_OTHERS - 1, module.IDLE_SECONDS_FOR_OTHERS - 1, ""),
    ],
)
async def test_a_connection_makes_room_for_one_that_waits(
    door: Door, waits: int | None, opened: int, fate: str
) -> None:
    now = asyncio.get_running_loop().time()
    since = None if waits is None else now - waits
    old, new = Served(waits_since=since, opened_at=now - opened), Served(opened_at=now)
    door.begin(new)
    door.begin(old)
    door.arrive()

    assert (old.fate, new.fate) == (fate, "")


async def test_a_stalled_connection_goes_before_an_older_one_in_use(door: Door) -> None:
    used, stalled = Served(opened_at=-60), Served(waits_since=-60, opened_at=-30)
    door.begin(used)
    door.begin(stalled)
    door.arrive()

    assert (used.fate, stalled.fate) == ("", "closed")


async def test_all_connections_are_looked_at_once_for_many_that_wait(door: Door) -> None:
    looks: list[int] = []

    class Looked(Served):
        def waits_since(self) -> float | None:
            looks.append(1)
            return super().waits_since()

    now = asyncio.get_running_loop().time()
    door.begin(Looked(opened_at=now))
    door.begin(Looked(opened_at=now))
    for _ in range(100):
        door.arrive()

    assert len(looks) <= 4


def test_a_refusal_of_a_head_request_has_no_body() -> None:
    assert refuse(REQUEST.replace(b"GET", b"HEAD")).endswith(b"\r\n\r\n")
    assert refuse(REQUEST).endswith(b"}}")
