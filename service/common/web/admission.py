"""Admission: how many may do something at once; others wait for a while, in order, or get a 503."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

from service.common.errors import Unavailable


class Admission:
    """Let so many in at once, and keep so many waiting (None: any number), each for a while.

    Each that has to wait does so within `make_room`.
    """

    def __init__(
        self,
        running: int,
        waiting: int | None = None,
        make_room: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        self._slots = asyncio.Semaphore(running)
        self._waiting = 0
        self._most_waiting = waiting
        self._make_room = make_room
        # How many are in beyond those that may be.
        self._beyond = 0

    async def enter(self, message: str, seconds: float) -> None:
        """Return when there is room; call `leave` later. Raises Unavailable: there is none."""
        if not self._slots.locked():
            await self._slots.acquire()
            return
        if self._most_waiting is not None and self._waiting >= self._most_waiting:
            raise Unavailable(message)
        self._waiting += 1
        try:
            with self._make_room():
                async with asyncio.timeout(seconds):
                    await self._slots.acquire()
        except TimeoutError:
            waited = TimeoutError(f"waited {seconds:g} s to be admitted")
            raise Unavailable(message) from waited
        finally:
            self._waiting -= 1

    def leave(self) -> None:
        """Make room for another."""
        if self._beyond:
            self._beyond -= 1
        else:
            self._slots.release()

    @contextmanager
    def lent(self) -> Iterator[None]:
        """Wait for something else; meanwhile another is let in.

        Afterwards any number may be in beyond those that may be, until as many leave.
        """
        self.leave()
        try:
            yield
        finally:
            self._beyond += 1
