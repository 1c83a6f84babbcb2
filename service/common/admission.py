"""Admission: how many may do something at once, and how many more may wait for it."""

import asyncio

from service.common.exceptions import Unavailable


class Admission:
    """Let so many in at once, and keep so many waiting, each for a while."""

    def __init__(self, running: int, waiting: int, seconds: float) -> None:
        self._slots = asyncio.Semaphore(running)
        self._waiting = 0
        self._most_waiting = waiting
        self._seconds = seconds

    async def enter(self, what: str) -> None:
        """Return when there is room; call `leave` later. Raises Unavailable: there is none."""
        if self._slots.locked() and self._waiting >= self._most_waiting:
            raise _too_many(what)
        self._waiting += 1
        try:
            async with asyncio.timeout(self._seconds):
                await self._slots.acquire()
        except TimeoutError as error:
            raise _too_many(what) from error
        finally:
            self._waiting -= 1

    def leave(self) -> None:
        """Make room for another."""
        self._slots.release()


def _too_many(what: str) -> Unavailable:
    return Unavailable(f"Too many {what} run at the moment: try again soon.")
