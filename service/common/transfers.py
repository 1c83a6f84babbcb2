"""Transfers: imports and exports, and which of them others need not wait for.

A transfer holds a connection to the database until its end, and its client decides how long that
takes. So a slow one is ended, but only if another request waits for what it holds.
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import copy_context

import structlog

from service.common import limits

BYTES = limits.TRANSFER_BYTES_FOR_OTHERS.value
SECONDS = limits.TRANSFER_SECONDS_FOR_OTHERS.value
CAUSE = f"its client moved fewer than {BYTES} bytes in {SECONDS} s, and another request waits"

log = structlog.get_logger("service")


class Transfer:
    """How fast the client of an import or export sends or reads.

    The time of the database does not count.
    """

    def __init__(self) -> None:
        # Bytes moved since the last full `BYTES`.
        self._moved = 0
        self._waited = 0.0
        self._waiting_since = 0.0
        self._end: Callable[[], object] | None = None
        # For the log, which has the id of the request.
        self._context = copy_context()

    @contextmanager
    def waiting(self, end: Callable[[], object]) -> Iterator[None]:
        """Wait for the client; meanwhile `end` ends the transfer."""
        now = asyncio.get_running_loop().time
        self._waiting_since, self._end = now(), end
        try:
            yield
        finally:
            self._waited += now() - self._waiting_since
            self._end = None

    def move(self, size: int) -> None:
        """Note that the client has sent, or read, so many bytes more."""
        self._moved += size
        if self._moved >= BYTES:
            self._moved, self._waited = 0, 0.0

    def seconds(self, now: float) -> float:
        """Return for how long its client has been waited for; 0 while that is not so."""
        return 0 if self._end is None else self._waited + now - self._waiting_since

    def end(self) -> None:
        """End the transfer, which waits for its client."""
        end, self._end = self._end, None
        if end is not None:
            self._context.run(log.warning, "transfer ended", cause=CAUSE)
            end()


def end_slowest(transfers: Iterable[Transfer]) -> None:
    """End the transfer whose client has been waited for longest, if that is too long."""
    now = asyncio.get_running_loop().time()
    slowest = max(transfers, key=lambda one: one.seconds(now), default=None)
    if slowest is not None and slowest.seconds(now) >= SECONDS:
        slowest.end()
