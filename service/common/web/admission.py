"""Admission: a limit of concurrent work; others wait for a time, or get a 503."""

import asyncio
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

from service.client import CLIENT
from service.common.errors import SHARE, Unavailable
from service.metrics import count_limit
from service.places import Clients, Places


class Admission:
    """Admit at most `running` tasks at a time; at most `waiting` others queue (None: any number).

    `share` maps a number of places to the most that one client may have. Clients are admitted as
    `Places` serves them. A client that has no task in the queue may join it even if it is full, up
    to twice its size. While a task queues it is inside `while_waiting(client)`. Refusals are
    counted under `limit`, or under CLIENT_SHARE if the client has its share.
    """

    def __init__(
        self,
        limit: str,
        running: int,
        waiting: int | None = None,
        while_waiting: Callable[[str], AbstractContextManager[object]] = nullcontext,
        share: Callable[[int], int] = int,
    ) -> None:
        self._limit = limit
        self.places = Places(running, share(running))
        self._waiting = Places(sys.maxsize) if waiting is None else Places(waiting, share(waiting))
        self._while_waiting = while_waiting

    async def enter(self, message: str, seconds: float) -> None:
        """Wait for admission; call `leave` afterwards. Raises Unavailable after `seconds`."""
        client = CLIENT.get()
        if self.places.take(Clients(client)) is not None:
            return
        waiting = self._waiting
        if waiting.take(Clients(client)) is None:
            if waiting.has_any(client) or waiting.free <= -waiting.number:
                raise self._refusal(client, message, waiting)
            waiting.add(client)
        try:
            with self._while_waiting(client):
                async with asyncio.timeout(seconds):
                    await self.places.wait(Clients(client))
        except TimeoutError:
            waited = TimeoutError(f"waited {seconds:g} s to be admitted")
            raise self._refusal(client, message, self.places) from waited
        finally:
            self._waiting.release(client)

    def _refusal(self, client: str, message: str, places: Places) -> Unavailable:
        if places.remaining(client) <= 0:
            count_limit("CLIENT_SHARE")
            return Unavailable(SHARE, limit="CLIENT_SHARE")
        count_limit(self._limit)
        return Unavailable(message, limit=self._limit)

    def leave(self) -> None:
        """Admit another task."""
        self.places.release(CLIENT.get())

    @contextmanager
    def suspended(self) -> Iterator[None]:
        """Leave while waiting for something else, so that another task is admitted.

        Afterwards the limit may be exceeded, until as many tasks leave.
        """
        self.leave()
        try:
            yield
        finally:
            self.places.add(CLIENT.get())
