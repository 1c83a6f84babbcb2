"""Connections that are lost while they are idle: no client notices."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast

import pytest
from sqlalchemy import text
from sqlalchemy.pool import NullPool

from service.common.database import pool_events
from service.common.database.connection import Connection
from service.common.database.engine import create_engine
from tests.client import Client
from tests.databases.conftest import Open
from tests.databases.servers import Server
from tests.envelope import error_of
from tests.factories import item
from tests.waiting import SECONDS

CONNECTED = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'idle'"
PID = text("SELECT pg_backend_pid()")
SLEEPS = """
SELECT EXISTS (
    SELECT FROM pg_stat_activity WHERE query LIKE '%pg_sleep(60)%' AND pid <> pg_backend_pid()
)
"""


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_no_client_sees_that_the_server_ends_idle_sessions(
    server: Server, open_on: Open, method: str
) -> None:
    server.sql("ALTER ROLE idle SET idle_session_timeout = '300ms'")
    async with open_on(server.url("idle")) as client:
        statuses = []
        for _ in range(3):
            server.wait_for(f"SELECT ({CONNECTED}) = 0")
            response = await client.open("/item", method=method, json=item())
            statuses.append(response.status_code)

    assert statuses == [200 if method == "GET" else 201] * 3


async def test_a_connection_that_was_idle_for_long_is_not_used_again(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = create_engine(server.url(), statement_timeout=1, pool_size=1)
    pids = []
    for seconds in (60, 60, -1):
        monkeypatch.setattr(pool_events, "IDLE_SECONDS", seconds)
        async with engine.connect() as connection:
            pids.append(await connection.scalar(PID))
    await engine.dispose()

    assert pids[0] == pids[1] != pids[2]


@pytest.mark.parametrize("is_pooled", [False, True])
async def test_a_time_out_replaces_idle_connections_but_a_pooler_s_that_have_answered_since(
    server: Server, is_pooled: bool
) -> None:
    """What did not answer may have been the queue of the pooler."""
    engine = create_engine(server.url(), statement_timeout=60, longest_statement=3, pool_size=3)
    async with engine.connect() as stuck:
        async with engine.connect() as one, engine.connect() as another:
            before = {await one.scalar(PID), await another.scalar(PID)}
        if is_pooled:
            raw = await stuck.get_raw_connection()
            cast("Connection", raw.driver_connection).settings_of_transaction = "SELECT 1"
        waiting = asyncio.create_task(stuck.execute(text("SELECT pg_sleep(60)")))
        await asyncio.to_thread(server.wait_for, SLEEPS)
        async with engine.connect() as used:
            answered = await used.scalar(PID)
        with pytest.raises(TimeoutError):
            await waiting
    async with engine.connect() as one, engine.connect() as another, engine.connect() as third:
        after = {await connection.scalar(PID) for connection in (one, another, third)}
    await engine.dispose()

    assert answered in before
    assert before & after == ({answered} if is_pooled else set())


class Firewall:
    """Forwards connections, until it forgets those that it has: without a word to either end."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._known: set[asyncio.StreamWriter] = set()
        self._forgotten: set[asyncio.StreamWriter] = set()

    def forget(self) -> None:
        """Let nothing more pass by the connections that there are."""
        self._forgotten |= self._known
        self._known.clear()

    def cut(self) -> None:
        """Close the connections that it has forgotten, so that nobody waits for them at the end."""
        for writer in self._forgotten:
            writer.close()

    async def end(self) -> None:
        """Close every connection."""
        writers = self._known | self._forgotten
        for writer in writers:
            writer.close()
        await asyncio.gather(*(one.wait_closed() for one in writers), return_exceptions=True)

    async def forward(self, client: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server, to_server = await asyncio.open_connection("127.0.0.1", self._port)
        self._known |= {writer, to_server}
        await asyncio.gather(self._pump(client, to_server), self._pump(server, writer))

    async def _pump(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        while data := await source.read(65536):
            if target in self._known:
                target.write(data)
        target.close()

    def tell_clients(self, message: bytes) -> None:
        """Send a message to the clients, as if it came from the server."""
        for writer in self._known:
            if writer.get_extra_info("peername")[1] != self._port:
                writer.write(message)


@asynccontextmanager
async def firewall(server: Server) -> AsyncIterator[tuple[Firewall, str]]:
    """Return a firewall in front of a server, and the URL there."""
    wall = Firewall(server.port)
    listener = await asyncio.start_server(wall.forward, "127.0.0.1", 0)
    async with listener:
        port = listener.sockets[0].getsockname()[1]
        yield wall, f"postgresql://postgres@127.0.0.1:{port}/postgres?sslmode=disable"
        await wall.end()


async def test_a_connection_whose_end_was_announced_is_not_used_although_it_is_still_open(
    server: Server,
) -> None:
    fields = b"SFATAL\0VFATAL\0C57P01\0Mterminating connection\0\0"
    announcement = b"E" + (4 + len(fields)).to_bytes(4) + fields
    async with firewall(server) as (wall, url):
        engine = create_engine(url, statement_timeout=1, pool_size=1)
        async with engine.connect() as connection:
            before = await connection.scalar(PID)
            raw = await connection.get_raw_connection()
            received = cast("Connection", raw.driver_connection).received
        count = received.count
        wall.tell_clients(announcement)
        async with asyncio.timeout(SECONDS):
            while received.count == count:  # noqa: ASYNC110  # The driver sets no event.
                await asyncio.sleep(0)
        async with engine.connect() as connection:
            after = await connection.scalar(PID)
        await engine.dispose()

    assert before != after


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/item"), ("POST", "/item"), ("GET", "/readyz")]
)
async def test_when_a_firewall_forgets_connections_one_request_fails_and_those_behind_it_do_not(
    server: Server, open_on: Open, method: str, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a short deadline, of which a statement has a part only."""
    # That the database has answered `/readyz` holds for a second.
    monkeypatch.setattr("service.health.domain.CACHE_SECONDS", 0)
    async with (
        firewall(server) as (wall, url),
        open_on(url, database_pool_size=20, request_timeout=10) as client,
    ):
        before = await use_each_pool(client, "before")
        idle = idle_connections(client)
        wall.forget()
        failed = await client.open(path, method=method, json=item() if method == "POST" else None)
        await error_of(failed, 504, "DeadlineExceeded")
        after = await use_each_pool(client, "after")
        wall.cut()

    assert before | after <= {200, 201}
    # Several of a kind, and of each kind that has no more than one.
    assert len(idle) >= 6
    assert sum(idle) >= 12


async def use_each_pool(client: Client, name: str) -> set[int]:
    """Send requests of every kind at once; return their statuses."""
    responses = await asyncio.gather(
        *(client.post("/item", json=item(), headers=key(f"{name}{n}")) for n in range(4)),
        *(client.post("/item", json=item()) for _ in range(4)),
        *(client.get(f"/item?limit={1 + n}") for n in range(4)),
        *(client.get(f"/item?q={'ada' * (1 + n)}") for n in range(2)),
        *(client.get(f"/item/{1 + n}") for n in range(4)),
        client.get("/readyz"),
    )
    return {response.status_code for response in responses} - {404}


def idle_connections(client: Client) -> list[int]:
    """Return the number of idle connections of each pool that has some."""
    engines = vars(client.app.database)["_engines"].values()
    return [found for engine in engines if (found := engine.pool.checkedin())]


def key(value: str) -> dict[str, str]:
    return {"Idempotency-Key": value}


async def test_the_sockets_options_are_those_of_the_url(server: Server) -> None:
    parameters = (
        "keepalives_idle=41&keepalives_interval=42&keepalives_count=43&tcp_user_timeout=44000"
    )
    assert await options_of(server.url(parameters=parameters)) == [1, 41, 42, 43, 44000]


async def test_without_options_a_dead_peer_is_noticed_within_a_minute(server: Server) -> None:
    assert await options_of(server.url()) == [1, 30, 10, 3, 5000]


async def test_keepalives_can_be_turned_off(server: Server) -> None:
    assert (await options_of(server.url(parameters="keepalives=0&tcp_user_timeout=0")))[0] == 0


async def options_of(url: str) -> list[int]:
    engine = create_engine(url, statement_timeout=0, poolclass=NullPool)
    async with engine.connect() as connection:
        raw = await connection.get_raw_connection()
        transport = raw.driver_connection._transport  # type: ignore[union-attr]
        own = transport.get_extra_info("socket")
        tcp = ("TCP_KEEPIDLE", "TCP_KEEPINTVL", "TCP_KEEPCNT", "TCP_USER_TIMEOUT")
        found = [own.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)]
        return found + [own.getsockopt(socket.IPPROTO_TCP, getattr(socket, n)) for n in tcp]
