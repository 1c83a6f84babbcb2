"""Admission: a bound on the requests in progress; the others wait for a short time, then get 503.

Each step of a request runs after a step of all the others that can run. So with a thousand requests
in progress every answer takes as long as all of them together, and health checks fail.
"""

import asyncio
from typing import Any

from service.common import limits
from service.common.refusals import RefusalLog

HEALTH = frozenset({"/livez", "/readyz"})
WAIT_SECONDS = limits.QUEUE_SECONDS.value
ADMITTED = "admitted"
MESSAGE = "The service has more requests than it can answer. Try again shortly."


class Admission:
    """The places of an application's requests, taken in the order of their arrival."""

    def __init__(self) -> None:
        self._places = asyncio.Semaphore(limits.REQUESTS_IN_PROGRESS.value)
        self._log = RefusalLog(f"{limits.REQUESTS_IN_PROGRESS.value} requests are in progress")

    async def enter(self, scope: Any) -> bool:
        """Return whether the request may be in progress; wait for that."""
        # Health is answered at once: compared before anything else happens.
        if scope["path"] in HEALTH or ADMITTED in scope:
            return True
        if self._places.locked():
            try:
                async with asyncio.timeout(WAIT_SECONDS):
                    await self._places.acquire()
            except TimeoutError:
                self._log.note()
                return False
        else:
            await self._places.acquire()
        scope[ADMITTED] = True
        return True

    def leave(self, scope: Any) -> None:
        """Give the place, if the request has one, to the next."""
        if scope.pop(ADMITTED, False):
            self._places.release()
