"""A proxy in front of PostgreSQL that cuts or holds a connection at a message that is chosen.

Each message after the first of a client is a byte, its type, then its length and its body
(PostgreSQL's manual, "Message Formats").
"""

import asyncio
from asyncio import IncompleteReadError, StreamReader, StreamWriter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from enum import Enum, auto
from random import Random


class Stage(Enum):
    """Where a statement is."""

    BEFORE = auto()
    # The server has it, and nobody hears what comes of it.
    DURING = auto()
    AFTER = auto()
    # Its transaction is about to be committed, or is.
    COMMIT = auto()
    COMMITTED = auto()


BIND, SYNC, QUERY, COMPLETE = b"B", b"S", b"Q", b"C"
COMMIT = b"COMMIT"


class CutError(Exception):
    """The connection ends here."""


@dataclass(eq=False)
class Trap:
    """What happens to the first connection whose statement with these bytes is at this stage."""

    stage: Stage
    marker: bytes
    holds: bool
    sprung: asyncio.Event = field(default_factory=asyncio.Event)
    released: asyncio.Event = field(default_factory=asyncio.Event)

    async def spring(self) -> None:
        """Hold the connection until it is released, or cut it."""
        self.sprung.set()
        if not self.holds:
            raise CutError
        await self.released.wait()


class Proxy:
    """Forwards connections to a server on this machine."""

    def __init__(self, port: int) -> None:
        self._server = port
        self._traps: list[Trap] = []
        self._connections: set[asyncio.Task[None]] = set()

    @contextmanager
    def trap(self, stage: Stage, marker: str, *, holds: bool = False) -> Iterator[Trap]:
        """Cut or hold the connection of a statement that has the marker in its parameters."""
        trap = Trap(stage, marker.encode(), holds)
        self._traps.append(trap)
        try:
            yield trap
        finally:
            self._traps.remove(trap)
            trap.released.set()

    def cut_all(self) -> None:
        """Cut every connection."""
        for one in self._connections:
            one.cancel()

    def cut_one(self, random: Random) -> None:
        """Cut any connection, whatever it does."""
        if self._connections:
            random.choice([*self._connections]).cancel()

    async def close(self) -> None:
        """Cut every connection, and wait for its end."""
        while self._connections:
            self.cut_all()
            await asyncio.sleep(0)

    def trap_for(self, parameters: bytes) -> Trap | None:
        """Return the trap for a statement."""
        return next((trap for trap in self._traps if trap.marker in parameters), None)

    def is_set(self, trap: Trap | None, *stages: Stage) -> bool:
        """Return whether a trap is still set, for one of these stages."""
        return trap in self._traps and trap.stage in stages and not trap.sprung.is_set()

    async def forward(self, client: StreamReader, to_client: StreamWriter) -> None:
        """Forward a connection until one side ends it, or a trap does."""
        try:
            server, to_server = await asyncio.open_connection("127.0.0.1", self._server)
        except OSError:
            to_client.transport.abort()
            return
        link = Link(self).run(client, to_client, server, to_server)
        task = asyncio.create_task(link)
        self._connections.add(task)
        await asyncio.wait({task})
        to_client.transport.abort()
        # After what was written.
        to_server.close()
        ends = (to_client.wait_closed(), to_server.wait_closed())
        await asyncio.gather(*ends, return_exceptions=True)
        self._connections.remove(task)


class Link:
    """A connection of a client with the server, and the trap for the statement that it has sent."""

    def __init__(self, proxy: Proxy) -> None:
        self._proxy = proxy
        self._trap: Trap | None = None

    async def run(
        self, client: StreamReader, to_client: StreamWriter, server: StreamReader, to: StreamWriter
    ) -> None:
        """Forward in both directions until one ends."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._requests(client, to))
                group.create_task(self._responses(server, to_client))
        except* (CutError, OSError, IncompleteReadError):
            pass

    async def _requests(self, source: StreamReader, target: StreamWriter) -> None:
        target.write(await read_sized(source))
        while True:
            kind, message = await source.readexactly(1), await read_sized(source)
            if kind == BIND:
                self._trap = self._proxy.trap_for(message) or self._trap
                await self._spring(Stage.BEFORE)
            elif kind == QUERY and message[4:].startswith(COMMIT):
                await self._spring(Stage.COMMIT)
            target.write(kind + message)
            if kind == SYNC:
                await self._spring(Stage.DURING)

    async def _responses(self, source: StreamReader, target: StreamWriter) -> None:
        while True:
            kind, message = await source.readexactly(1), await read_sized(source)
            if kind == COMPLETE:
                await self._spring(
                    Stage.COMMITTED if message[4:].startswith(COMMIT) else Stage.AFTER
                )
            target.write(kind + message)

    async def _spring(self, stage: Stage) -> None:
        if self._trap is not None and self._proxy.is_set(self._trap, stage):
            await self._trap.spring()


async def read_sized(source: StreamReader) -> bytes:
    """Read a message after its type."""
    size = await source.readexactly(4)
    return size + await source.readexactly(int.from_bytes(size) - 4)


@asynccontextmanager
async def proxy_to(port: int) -> AsyncIterator[tuple[Proxy, int]]:
    """Return a proxy and its port."""
    proxy = Proxy(port)
    listener = await asyncio.start_server(proxy.forward, "127.0.0.1", 0)
    async with listener:
        yield proxy, listener.sockets[0].getsockname()[1]
        await proxy.close()
