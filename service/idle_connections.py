"""Idle connections: closed after a while, as hypercorn does it, with one task for a connection.

hypercorn ends a task, and begins another one, at each request.
"""

import asyncio
from typing import Any

import hypercorn.asyncio.run
from hypercorn.asyncio.tcp_server import TCPServer
from hypercorn.events import Updated


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
