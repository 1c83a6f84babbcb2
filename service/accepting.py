"""The event loop, with a server that accepts several connections in each iteration.

libuv accepts one. Under load a new connection, a health check too, then waits for as many
iterations as there are connections before it.
"""

import asyncio
import socket
from typing import Any

import uvloop

from service.connections import Connections

ACCEPTS = 64


class AcceptingLoop(uvloop.Loop):
    """uvloop's loop; its servers give their clients to `connections`."""

    connections: Connections

    async def create_server(  # type: ignore[override]  # hypercorn calls it so.
        self, protocol_factory: Any, *_: Any, sock: socket.socket, **__: Any
    ) -> Any:
        """Return a server that accepts from a socket that listens."""
        return Acceptor(self, sock, protocol_factory)


class Acceptor:
    """A server, as far as hypercorn uses one."""

    def __init__(self, loop: AcceptingLoop, listening: socket.socket, factory: Any) -> None:
        self._loop = loop
        self._listening = listening
        self._factory = factory
        self._tasks: set[asyncio.Task[None]] = set()
        listening.setblocking(False)
        loop.add_reader(listening, self._accept)

    def close(self) -> None:
        """Accept no more."""
        self._loop.remove_reader(self._listening)
        self._listening.close()
        self._loop.connections.close()

    async def wait_closed(self) -> None:
        """Return at once: hypercorn waits for the open connections itself."""

    def _accept(self) -> None:
        for _ in range(ACCEPTS):
            try:
                client, _address = self._listening.accept()
            except (BlockingIOError, ConnectionAbortedError):
                return
            client.setblocking(False)
            self._loop.connections.arrive(client, self._serve)

    def _serve(self, client: socket.socket) -> None:
        task = self._loop.create_task(self._connect(client))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _connect(self, client: socket.socket) -> None:
        descriptor = client.fileno()
        try:
            await self._loop.connect_accepted_socket(self._factory, client)
        except OSError:
            # The client has gone.
            client.close()
            self._loop.connections.leave(descriptor, None)


def new_event_loop(connections: Connections) -> AcceptingLoop:
    """Return a loop for a service with these connections."""
    loop = AcceptingLoop()
    loop.connections = connections
    return loop
