"""The event loop, with a server that accepts several connections in each iteration.

libuv accepts one. Under load a new connection, such as a health check, then waits for as many
iterations as there are connections before it. What follows costs more than to accept it, so
connections have turns.
"""

import asyncio
import socket
from math import inf
from typing import Any

import structlog
import uvloop

from service.client import CLIENT
from service.common.web import Turns, has_disconnected
from service.server.connections import Connections

ACCEPTS = 64
# With more in one iteration the loop is overloaded: further connections are closed if their client
# has closed its side, because most of these have disconnected.
PROMPT = 8
# As in asyncio's servers.
RETRY_SECONDS = 1

log = structlog.get_logger("service")


class AcceptingLoop(uvloop.Loop):
    """uvloop's loop; its servers pass their clients to `connections`."""

    connections: Connections

    async def create_server(  # type: ignore[override]  # hypercorn calls it so.
        self, protocol_factory: Any, *_: Any, sock: socket.socket, **__: Any
    ) -> Any:
        """Return a server that accepts connections from a listening socket."""
        return Acceptor(self, sock, protocol_factory)


class Acceptor:
    """A server with the methods that hypercorn uses."""

    def __init__(self, loop: AcceptingLoop, listening: socket.socket, factory: Any) -> None:
        self._loop = loop
        self._listening = listening
        self._factory = factory
        self._tasks: set[asyncio.Task[None]] = set()
        # Never fewer in an iteration: behind a proxy all connections are of one client.
        self._turns = Turns(seconds=inf)
        listening.setblocking(False)
        self._listen()

    def close(self) -> None:
        """Stop accepting connections."""
        self._loop.remove_reader(self._listening)
        self._listening.close()
        self._loop.connections.close()

    async def wait_closed(self) -> None:
        """Return immediately: hypercorn itself waits for open connections."""

    def _listen(self) -> None:
        # It may have been closed meanwhile.
        if self._listening.fileno() >= 0:
            self._loop.add_reader(self._listening, self._accept)

    def _accept(self) -> None:
        for number in range(ACCEPTS):
            try:
                client, address = self._listening.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                # For example, no free descriptor: an immediate retry would fail again.
                log.warning(
                    "connections not accepted", cause=str(error), retry_seconds=RETRY_SECONDS
                )
                self._loop.remove_reader(self._listening)
                self._loop.call_later(RETRY_SECONDS, self._listen)
                return
            if number >= PROMPT and has_disconnected(client):
                client.close()
                continue
            client.setblocking(False)
            self._loop.connections.arrive(client, address, self._serve)

    def _serve(self, client: socket.socket) -> None:
        task = self._loop.create_task(self._connect(client))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _connect(self, client: socket.socket) -> None:
        descriptor = client.fileno()
        network = self._loop.connections.network_of_accepted(descriptor)
        try:
            # A health check is served at once.
            if network is not None:
                CLIENT.set(network)
                await self._wait_for_turn(client)
            await self._loop.connect_accepted_socket(self._factory, client)
        except BaseException as error:
            client.close()
            self._loop.connections.leave(descriptor, None)
            # An OSError means that the client has disconnected.
            if not isinstance(error, OSError):
                raise

    async def _wait_for_turn(self, client: socket.socket) -> None:
        """Wait until the connection may be opened.

        Raises ConnectionResetError if the client has disconnected meanwhile.
        """
        if await self._turns.take() and has_disconnected(client):
            raise ConnectionResetError


def new_event_loop(connections: Connections) -> AcceptingLoop:
    """Return a loop for a service with these connections."""
    loop = AcceptingLoop()
    loop.connections = connections
    return loop
