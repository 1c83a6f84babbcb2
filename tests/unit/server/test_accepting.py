"""Failures of `accept`."""

import asyncio
import errno
import os
import socket
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from typing import Any

import pytest
from structlog.testing import capture_logs

from service import limits
from service.client import CLIENT
from service.common.web import Turns
from service.server import accepting
from service.server.accepting import PROMPT, new_event_loop
from service.server.connections import Connections


class Listening(socket.socket):
    """A socket whose first connections are not accepted."""

    failures = 0

    def accept(self) -> tuple[socket.socket, Any]:
        if self.failures:
            self.failures -= 1
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        return super().accept()


@pytest.fixture
def listening() -> Iterator[Listening]:
    with Listening() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        yield listening


def test_without_a_descriptor_it_tries_again_a_while_later(
    listening: Listening, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(accepting, "RETRY_SECONDS", 0.05)
    listening.failures = 2

    async def serve() -> bytes:
        loop = asyncio.get_running_loop()

        class Greeting(asyncio.Protocol):
            def connection_made(self, transport: Any) -> None:
                transport.write(b"hello")
                transport.close()

        server = await loop.create_server(Greeting, sock=listening)
        reader, writer = await asyncio.open_connection(*listening.getsockname())
        answer = await reader.read()
        writer.close()
        server.close()
        return answer

    with capture_logs() as logs:
        answer = run(Connections(10, 10), serve())

    assert answer == b"hello"
    assert [one["event"] for one in logs] == ["connections not accepted"] * 2
    assert "Too many open files" in logs[0]["cause"]


@pytest.mark.parametrize("error", [OSError, RuntimeError])
def test_a_connection_that_can_not_be_made_has_no_place(
    listening: Listening, error: type[Exception]
) -> None:
    connections = Connections(10, 10)

    async def serve() -> bytes:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda *_: None)

        def fail() -> asyncio.Protocol:
            raise error

        server = await loop.create_server(fail, sock=listening)
        reader, writer = await asyncio.open_connection(*listening.getsockname())
        answer = await reader.read()
        writer.close()
        server.close()
        return answer

    assert run(connections, serve()) == b""
    assert not vars(connections)["_places"]


def test_if_many_have_come_at_once_those_that_have_left_are_not_served(
    listening: Listening,
) -> None:
    """They would take the time in which others are answered; a few may read their answers."""
    many, served = 3 * PROMPT, []

    class Greeting(asyncio.Protocol):
        def connection_made(self, transport: Any) -> None:
            served.append(transport)
            transport.write(b"hello")
            transport.close()

    async def serve() -> bytes:
        for _ in range(many):
            with socket.create_connection(listening.getsockname()):
                pass
        server = await asyncio.get_running_loop().create_server(Greeting, sock=listening)
        reader, writer = await asyncio.open_connection(*listening.getsockname())
        answer = await reader.read()
        writer.close()
        server.close()
        return answer

    assert run(Connections(10 * many, 10), serve()) == b"hello"
    assert len(served) == PROMPT + 1


@pytest.mark.parametrize(("places", "taken_by"), [(10, ["127.0.0.1"]), (0, [])])
def test_connections_are_opened_by_turns_of_clients_but_for_health_checks(
    listening: Listening, monkeypatch: pytest.MonkeyPatch, places: int, taken_by: list[str]
) -> None:
    """Without a place there are only health checks."""
    clients: list[str] = []

    class Watched(Turns):
        async def take(self) -> bool:
            clients.append(CLIENT.get())
            return await super().take()

    class Greeting(asyncio.Protocol):
        def connection_made(self, transport: Any) -> None:
            transport.close()

    async def serve() -> None:
        server = await asyncio.get_running_loop().create_server(Greeting, sock=listening)
        reader, writer = await asyncio.open_connection(*listening.getsockname())
        writer.write(b"GET /livez HTTP/1.1\r\n\r\n")
        # The server closes without reading the request.
        with suppress(ConnectionResetError):
            await reader.read()
        writer.close()
        server.close()

    monkeypatch.setattr(accepting, "Turns", Watched)
    run(Connections(places, 10), serve())

    assert clients == taken_by


@pytest.mark.parametrize(("waits", "served"), [(True, 0), (False, 1)])
def test_a_client_that_left_while_it_waited_for_its_turn_is_not_served(
    listening: Listening, monkeypatch: pytest.MonkeyPatch, waits: bool, served: int
) -> None:
    """One that did not wait may have closed its side, and still read the answer."""
    made: list[Any] = []

    class Waiting(Turns):
        async def take(self) -> bool:
            return waits

    class Greeting(asyncio.Protocol):
        def connection_made(self, transport: Any) -> None:
            made.append(transport)
            transport.close()

    async def serve() -> None:
        client = socket.create_connection(listening.getsockname())
        client.shutdown(socket.SHUT_WR)
        client.setblocking(False)
        server = await asyncio.get_running_loop().create_server(Greeting, sock=listening)
        assert await asyncio.get_running_loop().sock_recv(client, 1) == b""
        client.close()
        server.close()

    monkeypatch.setattr(accepting, "Turns", Waiting)
    run(Connections(10, 10), serve())

    assert len(made) == served


@pytest.mark.limit("REQUESTS_IN_TURN")
def test_so_many_connections_are_opened_in_an_iteration(listening: Listening) -> None:
    most = limits.REQUESTS_IN_TURN.value
    opened: list[int] = []
    iteration = 0

    class Counted(asyncio.Protocol):
        def connection_made(self, transport: Any) -> None:
            opened.append(iteration)
            transport.close()

    async def serve() -> None:
        nonlocal iteration
        # The queue of the kernel is full before the first is accepted.
        clients = [socket.create_connection(listening.getsockname()) for _ in range(most + 10)]
        server = await asyncio.get_running_loop().create_server(Counted, sock=listening)
        while len(opened) < len(clients):
            await asyncio.sleep(0)
            iteration += 1
        for client in clients:
            client.close()
        server.close()

    assert most + 10 < accepting.ACCEPTS
    run(Connections(1000, 10), serve())
    assert sorted(Counter(opened).values()) == [10, most]


def run(connections: Connections, main: Any) -> Any:
    with asyncio.Runner(loop_factory=partial(new_event_loop, connections)) as runner:
        return runner.run(main)
