"""Which connections get a place, which wait, and which are closed for another one."""

import asyncio
import socket
from collections.abc import AsyncIterator

import orjson
import pytest

from service import limits
from service.server import connections as module
from service.server.connections import Connections
from service.server.refused_connections import is_whole, refuse
from tests.counted import counted

REQUEST = b"GET /item HTTP/1.1\r\nHost: a\r\nX-Request-ID: mine\r\n\r\n"


class Served:
    """A connection as the server has it."""

    def __init__(self, *, closable_at: float | None = None, opened_at: float = 0) -> None:
        self.closable_from = closable_at
        self._opened_at = opened_at
        self.fate = ""

    def closable_at(self) -> float | None:
        return self.closable_from

    def opened_at(self) -> float:
        return self._opened_at

    def close_for_another(self) -> None:
        self.fate = "closed"

    def close_after_answer(self) -> None:
        self.fate = "closes after its answer"


class Door:
    """Clients that come, and those of them that are served."""

    def __init__(self, limit: int, waiting: int = 2000) -> None:
        self.connections = Connections(limit, waiting, "/api")
        self.served: list[socket.socket] = []
        self._open: list[tuple[socket.socket, socket.socket]] = []

    def arrive(
        self, sent: bytes = b"", host: str = "10.0.0.1"
    ) -> tuple[socket.socket, socket.socket]:
        client, server = socket.socketpair()
        client.settimeout(5)
        self._open.append((client, server))
        server.setblocking(False)
        client.sendall(sent)
        self.connections.arrive(server, (host, 1), self.served.append)
        return client, server

    def begin(self, connection: Served) -> int:
        """Have one arrive and begin; return its number."""
        _, server = self.arrive()
        assert self.connections.enter(server.fileno(), connection)
        return server.fileno()

    async def close(self) -> None:
        self.connections.close()
        for client, _ in self._open:
            client.close()
        # Those that were refused are closed when it is noticed that their clients have gone.
        refused = vars(vars(self.connections)["_refused"])["_timers"]
        while refused:  # noqa: ASYNC110  # Polling: there is no event.
            await asyncio.sleep(0.001)
        for _, server in self._open:
            server.close()


@pytest.fixture
async def door(request: pytest.FixtureRequest) -> AsyncIterator[Door]:
    """Return a door to two places, with room for as many to wait as the parameter says."""
    door = Door(2, getattr(request, "param", 2000))
    yield door
    await door.close()


async def test_beyond_the_limit_a_client_waits_until_one_leaves(door: Door) -> None:
    first = Served()
    number = door.begin(first)
    door.begin(Served())
    _, third = door.arrive()
    before = len(door.served)
    door.connections.leave(number, first)

    assert before == 2
    assert door.served[2:] == [third]


async def test_a_client_that_has_left_meanwhile_gets_no_place(door: Door) -> None:
    """Otherwise clients that disconnect immediately would keep the service busy."""
    first = Served()
    number = door.begin(first)
    door.begin(Served())
    left, left_server = door.arrive(REQUEST)
    left.close()
    _, other = door.arrive(REQUEST)
    door.connections.leave(number, first)

    assert door.served[2:] == [other]
    assert left_server.fileno() < 0


async def test_a_client_that_has_waited_for_too_long_is_refused(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "QUEUE_SECONDS", limits.QUEUE_SECONDS._replace(value=0))
    monkeypatch.setattr(module, "TICK_SECONDS", 0.001)
    door.arrive()
    door.arrive()
    client, _ = door.arrive(REQUEST)
    with counted("QUEUE_SECONDS"):
        await asyncio.sleep(0.01)
    head, _, body = client.recv(4096).partition(b"\r\n\r\n")

    assert head.startswith(b"HTTP/1.1 503 ")
    assert b"retry-after: 1" in head
    assert b"connection: close" in head
    assert orjson.loads(body)["error"]["request_id"] == "mine"
    assert orjson.loads(body)["error"]["type"] == "Unavailable"
    assert client.recv(1) == b""
    assert len(door.served) == 2


async def test_data_sent_after_a_refusal_do_not_lose_the_response(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "QUEUE_SECONDS", limits.QUEUE_SECONDS._replace(value=0))
    monkeypatch.setattr(module, "TICK_SECONDS", 0.001)
    door.arrive()
    door.arrive()
    client, server = door.arrive(REQUEST[:-2])
    await asyncio.sleep(0.01)
    client.sendall(b"more")
    await asyncio.sleep(0.01)

    assert client.recv(4096).startswith(b"HTTP/1.1 503 ")
    assert server.fileno() >= 0

    client.close()
    await asyncio.sleep(0.01)

    assert server.fileno() < 0


@pytest.mark.limit("REFUSALS")
async def test_only_so_many_are_refused_in_a_tick_and_the_next_may_get_a_place_that_is_free(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "QUEUE_SECONDS", limits.QUEUE_SECONDS._replace(value=0))
    first = Served()
    number = door.begin(first)
    door.arrive()
    per_tick = int(limits.REFUSALS.value * module.TICK_SECONDS)
    late = [door.arrive(REQUEST) for _ in range(per_tick + 1)]
    await asyncio.sleep(0)
    vars(Connections)["_tick"](door.connections)
    client, server = late.pop()
    client.setblocking(False)
    with pytest.raises(BlockingIOError):
        client.recv(1)

    assert all(one.recv(4096).startswith(b"HTTP/1.1 503 ") for one, _ in late)

    door.connections.leave(number, first)

    assert door.served[2:] == [server]


async def test_a_place_is_for_one_that_has_not_waited_too_long(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "QUEUE_SECONDS", limits.QUEUE_SECONDS._replace(value=0))
    monkeypatch.setattr(module, "REFUSALS_PER_TICK", 0)
    first = Served()
    number = door.begin(first)
    door.arrive()
    _, late = door.arrive(REQUEST)
    await asyncio.sleep(0)
    vars(Connections)["_tick"](door.connections)
    _, new = door.arrive(REQUEST)
    door.connections.leave(number, first)
    second = Served()
    door.connections.enter(new.fileno(), second)
    before = door.served[2:]
    door.connections.leave(new.fileno(), second)

    assert before == [new]
    assert door.served[2:] == [new, late]


async def test_health_is_served_to_one_that_has_waited_too_long(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "QUEUE_SECONDS", limits.QUEUE_SECONDS._replace(value=0))
    monkeypatch.setattr(module, "REFUSALS_PER_TICK", 0)
    monkeypatch.setattr(module, "TICK_SECONDS", 0.01)
    door.arrive()
    door.arrive()
    client, server = door.arrive(b"GET /livez HTTP/1.1\r\n")
    await asyncio.sleep(0.05)
    before = len(door.served)
    client.sendall(b"\r\n")
    await asyncio.sleep(0.05)

    assert before == 2
    assert door.served[2:] == [server]


async def test_a_place_is_for_a_network_that_has_fewer(door: Door) -> None:
    first = Served()
    number = door.begin(first)
    door.begin(Served())
    door.arrive()
    _, other = door.arrive(host="10.0.0.2")
    door.connections.leave(number, first)

    assert door.served[2:] == [other]


@pytest.mark.parametrize(
    ("hosts", "closed"),
    [
        # Two networks have one of two places each.
        (["10.0.0.2"], 1),
        (["10.0.0.2", "10.0.0.2", "10.0.0.3"], 1),
        (["10.0.0.1"], 0),
        (["2001:db8::1", "2001:db8::2"], 1),
        (["::ffff:10.0.0.2"], 1),
    ],
)
async def test_a_network_has_no_more_than_its_share_if_another_one_waits(
    door: Door, monkeypatch: pytest.MonkeyPatch, hosts: list[str], closed: int
) -> None:
    monkeypatch.setattr(module, "CHECK_SECONDS", 0)
    later = asyncio.get_running_loop().time() + 60
    all_ = [Served(closable_at=later, opened_at=later) for _ in range(2)]
    for one in all_:
        door.begin(one)
    for host in hosts:
        door.arrive(host=host)

    assert [one.fate for one in all_] == ["closed"] * closed + [""] * (2 - closed)


async def test_a_connection_that_answers_is_not_closed_for_another_network(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CHECK_SECONDS", 0)
    now = asyncio.get_running_loop().time()
    answers = Served(closable_at=None, opened_at=now)
    waits = Served(closable_at=now + 60, opened_at=now)
    door.begin(answers)
    door.begin(waits)
    door.arrive(host="10.0.0.2")

    assert (answers.fate, waits.fate) == ("", "closed")


async def test_a_connection_counts_until_it_leaves_although_its_descriptor_is_another_ones(
    door: Door,
) -> None:
    first, second = Served(), Served()
    number = door.begin(first)
    door.connections.leave(number, first)
    client, server = socket.socketpair()
    door.connections.arrive(server, ("10.0.0.1", 1), door.served.append)
    door.connections.enter(server.fileno(), first)
    # The system has closed it, but the service has not finished with it.
    again = server.fileno()
    server.close()
    other, new = socket.socketpair()
    assert new.fileno() == again or other.fileno() == again
    reused = new if new.fileno() == again else other
    door.connections.arrive(reused, ("10.0.0.1", 1), door.served.append)
    door.connections.enter(again, second)
    _, waits = door.arrive()
    before = waits in door.served
    door.connections.leave(again, first)

    assert not before
    assert door.served[-1] is waits
    for one in (client, other, new):
        one.close()


@pytest.mark.limit("REFUSED_CONNECTIONS")
async def test_of_too_many_that_are_refused_the_first_is_closed(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = limits.REFUSED_CONNECTIONS._replace(value=2)
    monkeypatch.setattr(limits, "REFUSED_CONNECTIONS", few)
    door.arrive()
    door.arrive()
    refused = [door.arrive(REQUEST[:-2])[1] for _ in range(3)]
    door.connections.close()

    assert [server.fileno() < 0 for server in refused] == [True, False, False]


@pytest.mark.limit("WAITING_CONNECTIONS")
@pytest.mark.parametrize("door", [2], indirect=True)
async def test_if_too_many_wait_the_first_of_them_is_refused(door: Door) -> None:
    door.arrive()
    door.arrive()
    waiting = [door.arrive(REQUEST)[0] for _ in range(2)]
    for client in waiting:
        client.setblocking(False)
        with pytest.raises(BlockingIOError):
            client.recv(1)
    with counted("WAITING_CONNECTIONS"):
        door.arrive()

    assert waiting[0].recv(4096).startswith(b"HTTP/1.1 503 ")
    with pytest.raises(BlockingIOError):
        waiting[1].recv(1)


@pytest.mark.parametrize(
    "target", ["GET /livez HTTP/1.1", "HEAD /readyz?x HTTP/1.1", "GET /api/livez HTTP/1.1"]
)
async def test_health_is_served_without_a_place(door: Door, target: str) -> None:
    door.arrive()
    door.arrive()
    _, server = door.arrive(f"{target}\r\n\r\n".encode())
    await asyncio.sleep(0.01)

    assert door.served[2:] == [server]
    assert not door.connections.enter(server.fileno(), Served())


@pytest.mark.parametrize("field", ["Content-Length: 9", "transfer-encoding: chunked"])
async def test_a_health_check_with_a_body_waits_as_others(door: Door, field: str) -> None:
    door.arrive()
    door.arrive()
    door.arrive(f"GET /livez HTTP/1.1\r\n{field}\r\n\r\n".encode())

    assert len(door.served) == 2


async def test_a_health_check_is_not_served_before_its_head_is_complete(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "TICK_SECONDS", 0.01)
    door.arrive()
    door.arrive()
    client, server = door.arrive(b"GET /li")
    await asyncio.sleep(0.05)
    client.sendall(b"vez HTTP/1.1\r\nHost: a\r\n")
    await asyncio.sleep(0.05)
    before = len(door.served)
    client.sendall(b"\r\n")
    await asyncio.sleep(0.05)

    assert before == 2
    assert door.served[2:] == [server]


@pytest.mark.limit("HEALTH_CONNECTIONS")
async def test_health_checks_beyond_the_limit_wait_until_one_leaves(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = limits.HEALTH_CONNECTIONS._replace(value=2)
    monkeypatch.setattr(limits, "HEALTH_CONNECTIONS", few)
    door.arrive()
    door.arrive()
    checks = [door.arrive(b"GET /livez HTTP/1.1\r\n\r\n")[1] for _ in range(4)]
    await asyncio.sleep(0.01)
    at_first = door.served[2:]
    one = Served()
    door.connections.enter(checks[0].fileno(), one)
    door.connections.leave(checks[0].fileno(), one)
    # This one has gone before it began.
    door.connections.leave(checks[1].fileno(), None)

    assert at_first == checks[:2]
    assert door.served[2:] == checks


async def test_a_wake_up_without_data_changes_nothing(door: Door) -> None:
    first = Served()
    number = door.begin(first)
    door.arrive()
    _, server = door.arrive()
    vars(Connections)["_look_at"](door.connections, server)
    door.connections.leave(number, first)

    assert door.served[2:] == [server]


async def test_the_place_of_a_connection_that_never_began_is_given_away(door: Door) -> None:
    _, first = door.arrive()
    door.arrive()
    _, third = door.arrive()
    door.connections.leave(first.fileno(), None)

    assert door.served[2:] == [third]


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
    ("closable", "opened", "fate"),
    [
        (0, 60, "closed"),
        (1, module.IDLE_SECONDS_FOR_OTHERS, "closes after its answer"),
        (None, module.IDLE_SECONDS_FOR_OTHERS, "closes after its answer"),
        (1, module.IDLE_SECONDS_FOR_OTHERS - 1, ""),
    ],
)
async def test_a_connection_is_closed_for_a_waiting_one(
    door: Door, closable: int | None, opened: int, fate: str
) -> None:
    now = asyncio.get_running_loop().time()
    at = None if closable is None else now + closable
    old, new = Served(closable_at=at, opened_at=now - opened), Served(opened_at=now)
    door.begin(new)
    door.begin(old)
    with counted("IDLE_SECONDS_FOR_OTHERS", fate == "closed"):
        door.arrive()

    assert (old.fate, new.fate) == (fate, "")


async def test_an_idle_connection_goes_before_an_older_one_in_use(door: Door) -> None:
    used, idle = Served(opened_at=-60), Served(closable_at=-60, opened_at=-30)
    door.begin(used)
    door.begin(idle)
    door.arrive()

    assert (used.fate, idle.fate) == ("", "closed")


async def test_a_connection_that_becomes_idle_is_closed_for_a_waiting_one(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CHECK_SECONDS", 0.01)
    monkeypatch.setattr(module, "TICK_SECONDS", 0.01)
    now = asyncio.get_running_loop().time()
    first, second = Served(opened_at=now), Served(opened_at=now)
    door.begin(first)
    door.begin(second)
    door.arrive()
    second.closable_from = now
    await asyncio.sleep(0.1)

    assert (first.fate, second.fate) == ("", "closed")


async def test_one_that_takes_long_for_its_last_answer_does_not_keep_others_from_closing(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CHECK_SECONDS", 0)
    now = asyncio.get_running_loop().time()
    first, second = Served(opened_at=now - 60), Served(opened_at=now - 30)
    door.begin(first)
    door.begin(second)
    door.arrive()
    before = second.fate
    door.arrive()

    assert (first.fate, before, second.fate) == (
        "closes after its answer", "", "closes after its answer"
    )  # fmt: skip


async def test_all_connections_are_looked_at_once_for_many_that_wait(door: Door) -> None:
    looks: list[int] = []

    class Looked(Served):
        def closable_at(self) -> float | None:
            looks.append(1)
            return super().closable_at()

    now = asyncio.get_running_loop().time()
    door.begin(Looked(opened_at=now))
    door.begin(Looked(opened_at=now))
    for _ in range(100):
        door.arrive()

    assert len(looks) <= 4


@pytest.mark.parametrize(
    ("sent", "whole"),
    [
        (REQUEST, True),
        (REQUEST + REQUEST, True),
        (REQUEST[:-2], False),
        (REQUEST + b"more", False),
        (REQUEST.replace(b"Host: a", b"content-length: 4"), False),
        (REQUEST.replace(b"Host: a", b"transfer-encoding: chunked"), False),
        (b"", False),
    ],
)
def test_a_request_is_whole_if_no_more_of_it_can_come(sent: bytes, whole: object) -> None:
    assert is_whole(sent) == whole


def test_a_refusal_of_a_head_request_has_no_body() -> None:
    assert refuse(REQUEST.replace(b"GET", b"HEAD")).endswith(b"\r\n\r\n")
    assert refuse(REQUEST).endswith(b"}}")
