"""Admission: a limit of concurrent work; others wait for a time, in order, or get a 503."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

from service.common.errors import Unavailable
from service.metrics import count_limit


class Admission:
    """Admit `running` tasks concurrently, and let `waiting` others wait (None: any number).

    A task waits inside the context of `make_room`. Refused ones are counted for `limit`, by its
    name.
    """

    def __init__(
        self,
        limit: str,
        running: int,
        waiting: int | None = None,
        make_room: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        self._limit = limit
        self._slots = asyncio.Semaphore(running)
        self._waiting = 0
        self._most_waiting = waiting
        self._make_room = make_room
        # The number of admitted tasks above the limit.
        self._over_limit = 0

    async def enter(self, message: str, seconds: float) -> None:
        """Wait for admission; call `leave` afterwards. Raises Unavailable after `seconds`."""
        if not self._slots.locked():
            await self._slots.acquire()
            return
        if self._most_waiting is not None and self._waiting >= self._most_waiting:
            count_limit(self._limit)
            raise Unavailable(message, limit=self._limit)
        self._waiting += 1
        try:
            with self._make_room():
                async with asyncio.timeout(seconds):
                    await self._slots.acquire()
        except TimeoutError:
            count_limit(self._limit)
            waited = TimeoutError(f"waited {seconds:g} s to be admitted")
            raise Unavailable(message, limit=self._limit) from waited
        finally:
            self._waiting -= 1

    def leave(self) -> None:
        """Admit another task."""
        if self._over_limit:
            self._over_limit -= 1
        else:
            self._slots.release()

    @contextmanager
    def suspended(self) -> Iterator[None]:
        """Leave while waiting for something else, so that another task is admitted.

        Afterwards the limit may be exceeded, until as many tasks leave.
        """
        self.leave()
        try:
            yield
        finally:
            self._over_limit += 1
