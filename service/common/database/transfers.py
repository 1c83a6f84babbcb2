"""Transfers: imports and exports, and the minimum speed of their clients.

A transfer holds a database connection and a snapshot until its end, which depends on its client. So
it is ended if its client is too slow, and sooner if another request waits for a connection.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import copy_context

import structlog

from service import limits
from service.client import CLIENT
from service.metrics import count_limit
from service.places import Places

TRANSFER_BYTES = limits.TRANSFER_BYTES.value
PROGRESS_SECONDS: float = limits.PROGRESS_SECONDS.value
BYTES_FOR_OTHERS = limits.TRANSFER_BYTES_FOR_OTHERS.value
SECONDS_FOR_OTHERS = limits.TRANSFER_MILLISECONDS_FOR_OTHERS.value / 1000
TOO_FEW = "its client moved fewer than {} bytes in {} s"
# The interval of checks for slow transfers while another request waits.
TRANSFER_CHECK_SECONDS = 0.1

log = structlog.get_logger("service")


class Pace:
    """The time spent waiting for a client since it last moved `size` bytes."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._moved = 0
        self.waited = 0.0

    def move(self, size: int) -> None:
        """Count bytes that the client has moved."""
        self._moved += size
        if self._moved >= self._size:
            self._moved, self.waited = 0, 0.0


class Transfer:
    """The speed of the client of an import or export, without the time of the database."""

    def __init__(self) -> None:
        self._pace, self._pace_for_others = Pace(TRANSFER_BYTES), Pace(BYTES_FOR_OTHERS)
        self.client = CLIENT.get()
        self._waiting_since = 0.0
        self._end: Callable[[], object] | None = None
        # For the log, which has the id of the request.
        self._context = copy_context()
        self.ended = False
        # The one for which it was ended.
        self.limit = ""

    @contextmanager
    def waiting(self, end: Callable[[], object]) -> Iterator[None]:
        """Measure the wait for the client; call `end` if it takes too long."""
        loop = asyncio.get_running_loop()
        self._waiting_since, self._end = loop.time(), end
        deadline = self._waiting_since + PROGRESS_SECONDS - self._pace.waited
        timer = loop.call_at(
            deadline,
            self.end,
            "TRANSFER_BYTES",
            TOO_FEW.format(TRANSFER_BYTES, PROGRESS_SECONDS),
        )
        try:
            yield
        finally:
            timer.cancel()
            waited = loop.time() - self._waiting_since
            self._pace.waited += waited
            self._pace_for_others.waited += waited
            self._end = None

    def move(self, size: int) -> None:
        """Count bytes that the client has sent or read."""
        self._pace.move(size)
        self._pace_for_others.move(size)

    def seconds_for_others(self, now: float) -> float:
        """Return how long it has waited for its client; 0 while it waits for the database."""
        if self._end is None:
            return 0
        return self._pace_for_others.waited + now - self._waiting_since

    def end(self, limit: str, cause: str) -> None:
        """End the transfer if it waits for its client; count it for the limit."""
        end, self._end = self._end, None
        if end is not None:
            self.ended, self.limit = True, limit
            count_limit(limit)
            self._context.run(log.warning, "transfer ended", cause=cause, limit=limit)
            end()


class SlowTransfers:
    """Ends the slowest transfers while other requests wait for their places."""

    def __init__(
        self, transfers: Callable[[], Iterable[Transfer]], places: Callable[[], Places]
    ) -> None:
        self._transfers = transfers
        self._places = places
        # The number of requests that wait, by client.
        self._waiting: Counter[str] = Counter()
        self._timer: asyncio.TimerHandle | None = None

    @contextmanager
    def ending_for(self, client: str) -> Iterator[None]:
        """End as many slow transfers as there are requests inside this context.

        For those of a client that has its share, only its own transfers are ended.
        """
        self._waiting[client] += 1
        try:
            self._look()
            yield
        finally:
            self._waiting[client] -= 1

    def _look(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._waiting = +self._waiting
        if not self._waiting:
            return
        places, transfers, wanted = self._places(), list(self._transfers()), 0
        for client, waiting in self._waiting.items():
            # Those with a place leave this context only when they run.
            number = waiting - places.not_yet_resumed(client)
            if (remaining := places.remaining(client)) > 0:
                wanted += min(number, remaining)
            else:
                _end_slow([one for one in transfers if one.client == client], number)
        _end_slow(transfers, wanted)
        self._timer = asyncio.get_running_loop().call_later(TRANSFER_CHECK_SECONDS, self._look)


def _end_slow(transfers: list[Transfer], wanted: int) -> None:
    now = asyncio.get_running_loop().time()
    # An ended transfer still holds its connection for a moment.
    wanted = max(0, wanted - sum(one.ended for one in transfers))
    slowest = sorted(transfers, key=lambda one: one.seconds_for_others(now), reverse=True)
    for one in slowest[:wanted]:
        if one.seconds_for_others(now) >= SECONDS_FOR_OTHERS:
            cause = TOO_FEW.format(BYTES_FOR_OTHERS, SECONDS_FOR_OTHERS)
            one.end("TRANSFER_BYTES_FOR_OTHERS", f"{cause}, and another request waits")
