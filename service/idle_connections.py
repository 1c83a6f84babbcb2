"""Idle connections: closed after a while, as hypercorn does it, with one task for a connection.

hypercorn ends a task, and begins another one, at each request. It also waits, without an end, for a
client to read what it was sent before it closes the connection.
"""

import asyncio
from typing import Any

import hypercorn.asyncio.run
from hypercorn.asyncio.tcp_server import TCPServer
from hypercorn.events import Updated

from service.common.middleware import connection


class PatientServer(TCPServer):
    """hypercorn's server of a connection, with a note of how long it has been idle."""

    _busy = False
    _idle_since = 0.0

    async def protocol_send(self, event: Any) -> None:
        """Note when a request begins and ends, and do what hypercorn does with all else."""
        if isinstance(event, Updated):
            self._busy = not event.idle
            self._idle_since = self.loop.time()
        else:
            await super().protocol_send(event)

    async def _read_data(self) -> None:
        """Read until the client goes; then nobody waits any more for it to use the connection."""
        await super()._read_data()
        await self.idle_task.stop()

    async def _close(self) -> None:
        """Close the connection, and drop what the client does not read in a while."""
        async with asyncio.timeout(connection.PROGRESS_SECONDS) as limit:
            # It takes the end of the time for that of the connection.
            await super()._close()
        if limit.expired():
            self.writer.transport.abort()

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
        # One in use is closed behind its answer.
        if not self._busy:
            await asyncio.shield(self._initiate_server_close())


def register() -> None:
    """Have hypercorn do so, from the next connection on."""
    # It has no setting for this.
    vars(hypercorn.asyncio.run)["TCPServer"] = PatientServer
