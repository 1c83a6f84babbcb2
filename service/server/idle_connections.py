"""The server's end of a connection, as hypercorn has it, with one task that watches its idle time.

hypercorn ends a task, and begins another one, at each request. It also waits, without an end, for a
client to read what it was sent.
"""

import asyncio
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import h11
import hypercorn.asyncio.run
import structlog
from hypercorn.asyncio.tcp_server import MAX_RECV, TCPServer
from hypercorn.events import Closed, RawData, Updated
from hypercorn.typing import LifespanState

from service import limits
from service.common.web import GIVE_UP, WATCH, on_close
from service.server.connections import IDLE_SECONDS_FOR_OTHERS, Connections

# A client that does not take a piece of an answer in so long makes no progress. The total time is
# not limited: it depends on the size and on the client's network.
PROGRESS_SECONDS = limits.PROGRESS_SECONDS.value
PIECE = 1 << 16

log = structlog.get_logger("service")


class ConnectionServer(TCPServer):
    """hypercorn's server of a connection, with a place among those that the process has."""

    connections = Connections(limits.CONNECTIONS.value, limits.WAITING_CONNECTIONS.value)
    _busy = False
    _idle_since = _opened_at = 0.0
    _reading_since: float | None = None
    _writing_since: float | None = None
    _has_place = True

    async def run(self) -> None:
        """Serve the connection; one without a place is closed after its first answer."""
        descriptor = self.writer.get_extra_info("socket").fileno()
        self._has_place = self.connections.enter(descriptor, self)
        try:
            await self._run()
        finally:
            self.connections.leave(descriptor, self)
            # They refer to each other and to this, and have what has arrived and was not read: it
            # would stay until the collector of garbage runs.
            held: Any = self
            held.reader = held.writer = held.protocol = None

    async def _run(self) -> None:
        self._transport: Any = self.writer.transport
        # A write waits until the kernel has taken all of the one before.
        self._transport.set_write_buffer_limits(high=0)
        self._opened_at = self._idle_since = self.loop.time()
        # Its requests learn from it when the client closes the connection.
        self.state = LifespanState({**self.state, WATCH: self._watch, GIVE_UP: None})
        await super().run()

    def opened_at(self) -> float:
        """Return when it began."""
        return self._opened_at

    def closable_at(self) -> float | None:
        """Return from when on it may be closed for another client; None while it is in use.

        A client has less time for the next request than for a body, and to read an answer.
        """
        if not self._busy:
            return self._idle_since + IDLE_SECONDS_FOR_OTHERS
        protocol: Any = self.protocol.protocol
        since = self._writing_since
        if protocol.connection.their_state is h11.SEND_BODY and self._reading_since is not None:
            since = self._reading_since
        return None if since is None else since + PROGRESS_SECONDS

    def close_for_another(self) -> None:
        """Close the connection, for another one that waits."""
        if self._busy:
            self._transport.abort()
        else:
            self.writer.close()

    def close_after_answer(self) -> None:
        """Close the connection after its next answer.

        hypercorn does so once a connection has had `keep_alive_max_requests` requests: in
        `server_config` that is sys.maxsize, which no connection reaches by itself.
        """
        protocol: Any = self.protocol.protocol
        protocol.keep_alive_requests = sys.maxsize

    def _watch(self, call: Callable[[], object]) -> AbstractContextManager[None]:
        """End the request and call `call` if the client closes the connection."""

        def close() -> None:
            self._task_group.spawn(self.protocol.handle, Closed())
            self.writer.transport.abort()
            # Not before hypercorn knows: it would answer 500 for an application that has ended.
            self.loop.call_soon(call)

        return on_close(self.writer.get_extra_info("socket"), close)

    async def protocol_send(self, event: Any) -> None:
        """Note when a request begins and ends, write in pieces, and leave the rest to hypercorn."""
        if isinstance(event, RawData):
            try:
                await self._write(event.data)
            except (ConnectionError, RuntimeError):
                await self.protocol.handle(Closed())
        elif isinstance(event, Updated):
            self._busy = not event.idle
            self._idle_since = self.loop.time()
        else:
            await super().protocol_send(event)

    async def _write(self, data: bytes) -> None:
        """Write the data without a copy, each piece when the client has taken the one before.

        Raises ConnectionError: the client has gone, or reads nothing.
        """
        view = data if len(data) <= PIECE else memoryview(data)
        async with self.send_lock:
            for start in range(0, len(data), PIECE):
                if self._transport.is_closing():
                    raise ConnectionResetError
                self.writer.write(view[start : start + PIECE])
                if self._transport.get_write_buffer_size():
                    await self._wait_for_reader()

    async def _wait_for_reader(self) -> None:
        self._writing_since = self.loop.time()
        try:
            async with asyncio.timeout(PROGRESS_SECONDS):
                await self.writer.drain()
        except TimeoutError as error:
            cause = f"nobody read from it for {PROGRESS_SECONDS} s"
            log.warning("answer ended", cause=cause)
            self._transport.abort()
            raise ConnectionAbortedError(cause) from error
        finally:
            self._writing_since = None

    async def _read_data(self) -> None:
        """Read until the client goes; then nobody waits any more for it to use the connection."""
        if not self._has_place:
            self.close_after_answer()
        while not (self.reader.at_eof() or self._transport.is_closing()):
            self._reading_since = self.loop.time()
            try:
                data = await self.reader.read(MAX_RECV)
            except OSError:
                break
            finally:
                self._reading_since = None
            await self.protocol.handle(RawData(data))
        await self.protocol.handle(Closed())
        await self.idle_task.stop()

    async def _close(self) -> None:
        """Close the connection, and drop what the client does not read in a while."""
        async with asyncio.timeout(PROGRESS_SECONDS) as limit:
            # It takes the end of the time for that of the connection.
            await super()._close()
        if limit.expired():
            self._transport.abort()

    async def _idle_timeout(self) -> None:
        """Close the connection where it was idle for too long, or the service stops."""
        limit = self.config.keep_alive_timeout
        self._idle_since = self.loop.time()
        while not self.context.terminated.is_set():
            left = limit if self._busy else self._idle_since + limit - self.loop.time()
            if left <= 0:
                break
            try:
                await asyncio.wait_for(self.context.terminated.wait(), left)
            except TimeoutError:
                continue
        # One in use is closed after its answer.
        if not self._busy:
            await asyncio.shield(self._initiate_server_close())


def register(connections: Connections) -> None:
    """Have hypercorn do so, from the next connection on."""
    ConnectionServer.connections = connections
    # It has no setting for this.
    vars(hypercorn.asyncio.run)["TCPServer"] = ConnectionServer
