"""hypercorn's server of a connection, with one task for its idle time-out.

hypercorn replaces a task at each request. It also waits without a time-out for a client to read.
"""

import asyncio
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from contextvars import Context, copy_context
from typing import Any

import h11
import hypercorn.asyncio.run
import structlog
from hypercorn.asyncio.tcp_server import TCPServer
from hypercorn.events import Closed, RawData, Updated
from hypercorn.typing import LifespanState

from service import limits
from service.budget import Budget
from service.client import CLIENT
from service.common.web import GIVE_UP, WATCH, on_close
from service.metrics import count_limit
from service.server.connections import IDLE_SECONDS_FOR_OTHERS, Connections

# The time-out for reading one piece of a response. The total time is not limited: it depends on the
# size and on the client's network.
PROGRESS_SECONDS = limits.PROGRESS_SECONDS.value
PIECE = 1 << 16
# How much of a request is read at once. Each unfinished body occupies several times as much in
# queues, and blocks of this size leave few gaps in memory.
READ_PIECE = 1 << 13

log = structlog.get_logger("service")


class ConnectionServer(TCPServer):
    """hypercorn's server of a connection, which may have one of the process's places."""

    connections = Connections(limits.CONNECTIONS.value, limits.WAITING_CONNECTIONS.value)
    # Responses that wait for their clients to read them.
    unread: "Budget[ConnectionServer]" = Budget(
        limits.UNREAD_BYTES.value, lambda connection: connection.end_unread()
    )
    _busy = False
    _idle_since = _opened_at = 0.0
    _reading_since: float | None = None
    _writing_since: float | None = None
    _has_place = True
    # That of the request whose response waits for its client.
    _context: Context

    async def run(self) -> None:
        """Serve the connection; without a place it is closed after its first response."""
        descriptor = self.writer.get_extra_info("socket").fileno()
        self._has_place = self.connections.enter(descriptor, self)
        try:
            await self._run()
        except Exception:
            # The first releases of Python 3.11 leave it open.
            self.writer.close()
            raise
        finally:
            self.connections.leave(descriptor, self)
            # They are a reference cycle with unread data, which would stay in memory until the
            # garbage collector runs.
            held: Any = self
            held.reader = held.writer = held.protocol = None

    async def _run(self) -> None:
        self._transport: Any = self.writer.transport
        # A write waits until the kernel has accepted all of the previous one.
        self._transport.set_write_buffer_limits(high=0)
        # hypercorn does not pass this parameter of `asyncio.start_server`: the reader pauses the
        # transport at twice as many bytes.
        vars(self.reader)["_limit"] = 2 * READ_PIECE
        self._opened_at = self._idle_since = self.loop.time()
        # Requests use it to detect that the client closes the connection.
        self.state = LifespanState({**self.state, WATCH: self._watch, GIVE_UP: None})
        await super().run()

    def opened_at(self) -> float:
        """Return the time when it was opened."""
        return self._opened_at

    def closable_at(self) -> float | None:
        """Return the time from which it may be closed for another client; None if in use.

        A client has less time for its next request, or for reading a piece of a response, than for
        sending a body.
        """
        if not self._busy:
            return self._idle_since + IDLE_SECONDS_FOR_OTHERS
        protocol: Any = self.protocol.protocol
        if protocol.connection.their_state is h11.SEND_BODY and self._reading_since is not None:
            return self._reading_since + PROGRESS_SECONDS
        since = self._writing_since
        return None if since is None else since + IDLE_SECONDS_FOR_OTHERS

    def close_for_another(self) -> None:
        """Close the connection for a waiting one."""
        if self._busy:
            self._transport.abort()
        else:
            self.writer.close()

    def close_after_answer(self) -> None:
        """Close the connection after its next response.

        hypercorn does so after `keep_alive_max_requests` requests: `server_config` sets it to
        sys.maxsize, which no connection reaches on its own.
        """
        protocol: Any = self.protocol.protocol
        protocol.keep_alive_requests = sys.maxsize

    def _watch(self, call: Callable[[], object]) -> AbstractContextManager[None]:
        """End the request and call `call` if the client closes the connection."""

        def close() -> None:
            self._task_group.spawn(self.protocol.handle, Closed())
            self.writer.transport.abort()
            # After hypercorn's own handling: it answers 500 if the application ends first.
            self.loop.call_soon(call)

        return on_close(self.writer.get_extra_info("socket"), close)

    async def protocol_send(self, event: Any) -> None:
        """Track when a request begins and ends, write in pieces, leave the rest to hypercorn."""
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
        """Write the data without copying, each piece after the client has read the previous one.

        Raises ConnectionError if the client has disconnected or does not read.
        """
        view = data if len(data) <= PIECE else memoryview(data)
        async with self.send_lock:
            for start in range(0, len(data), PIECE):
                if self._transport.is_closing():
                    raise ConnectionResetError
                self.writer.write(view[start : start + PIECE])
                if self._transport.get_write_buffer_size():
                    following = getattr(self.protocol.protocol, "following", 0)
                    await self._wait_for_reader(len(data) + following)
                    if self._transport.is_closing():
                        raise ConnectionResetError

    async def _wait_for_reader(self, size: int) -> None:
        self._writing_since, self._context = self.loop.time(), copy_context()
        try:
            self.unread.hold(self, CLIENT.get(), size)
            async with asyncio.timeout(PROGRESS_SECONDS):
                await self.writer.drain()
        except TimeoutError as error:
            cause = f"the client did not read for {PROGRESS_SECONDS} s"
            count_limit("PROGRESS_SECONDS")
            self._abort(cause, "PROGRESS_SECONDS")
            raise ConnectionAbortedError(cause) from error
        finally:
            self._writing_since = None
            self.unread.release(self)

    def end_unread(self) -> None:
        """Close the connection: unread responses use too much memory."""
        count_limit("UNREAD_BYTES")
        self._abort("unread responses use too much memory", "UNREAD_BYTES")

    def _abort(self, cause: str, limit: str) -> None:
        # With the request id of the response.
        self._context.run(log.warning, "response aborted", cause=cause, limit=limit)
        self._transport.abort()

    async def _read_data(self) -> None:
        """Read until the client disconnects; then stop the task of the idle time-out."""
        if not self._has_place:
            self.close_after_answer()
        while not (self.reader.at_eof() or self._transport.is_closing()):
            self._reading_since = self.loop.time()
            try:
                data = await self.reader.read(READ_PIECE)
            except OSError:
                break
            finally:
                self._reading_since = None
            await self.protocol.handle(RawData(data))
        await self.protocol.handle(Closed())
        await self.idle_task.stop()

    async def _close(self) -> None:
        """Close the connection; discard data that the client does not read in time."""
        async with asyncio.timeout(PROGRESS_SECONDS) as limit:
            # hypercorn suppresses the TimeoutError.
            await super()._close()
        if limit.expired():
            self._transport.abort()

    async def _idle_timeout(self) -> None:
        """Close the connection when it was idle for too long, or when the service stops."""
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
        # A connection in use is closed after its response.
        if not self._busy:
            await asyncio.shield(self._initiate_server_close())


def register(connections: Connections) -> None:
    """Replace hypercorn's class, from the next connection on."""
    ConnectionServer.connections = connections
    # hypercorn has no setting for this.
    vars(hypercorn.asyncio.run)["TCPServer"] = ConnectionServer
