"""Admission: how many may do something at once; others wait for a while, in order, or get a 503."""

import asyncio
from typing import Any

from service.common import limits
from service.common.exceptions import Unavailable
from service.common.refusals import RefusalLog

HEALTH = frozenset({"/livez", "/readyz"})
WAIT_SECONDS = limits.QUEUE_SECONDS.value
ADMITTED = "admitted"
MESSAGE = "The service has more requests than it can answer. Try again shortly."


class Admission:
    """Let so many in at once, and keep so many waiting (None: any number), each for a while."""

    def __init__(self, running: int, waiting: int | None = None) -> None:
        self._slots = asyncio.Semaphore(running)
        self._waiting = 0
        self._most_waiting = waiting

    async def enter(self, message: str, seconds: float) -> None:
        """Return when there is room; call `leave` later. Raises Unavailable: there is none."""
        if not self._slots.locked():
            await self._slots.acquire()
            return
        if self._most_waiting is not None and self._waiting >= self._most_waiting:
            raise Unavailable(message)
        self._waiting += 1
        try:
            async with asyncio.timeout(seconds):
                await self._slots.acquire()
        except TimeoutError as error:
            raise Unavailable(message) from error
        finally:
            self._waiting -= 1

    def leave(self) -> None:
        """Make room for another."""
        self._slots.release()


class RequestAdmission:
    """The bound on the requests in progress.

    Each step of a request runs after a step of all the others that can run. So with a thousand
    requests in progress every answer takes as long as all of them together, and health checks fail.
    """

    def __init__(self) -> None:
        self._admission = Admission(limits.REQUESTS_IN_PROGRESS.value)
        self._log = RefusalLog(f"{limits.REQUESTS_IN_PROGRESS.value} requests are in progress")

    async def enter(self, scope: Any) -> bool:
        """Return whether the request may be in progress; wait for that."""
        # Health is answered at once: compared before anything else happens.
        if scope["path"] in HEALTH or ADMITTED in scope:
            return True
        try:
            await self._admission.enter(MESSAGE, WAIT_SECONDS)
        except Unavailable:
            self._log.note()
            return False
        scope[ADMITTED] = True
        return True

    def leave(self, scope: Any) -> None:
        """Give the place, if the request has one, to the next."""
        if scope.pop(ADMITTED, False):
            self._admission.leave()
