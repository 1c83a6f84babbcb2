"""Places: what a limited number of tasks may use concurrently, and whose turn it is.

Clients that wait are served in turn: a place goes to the one that has been served least recently,
so that one with many requests delays the others' no more than one with few.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Collection, Hashable, Iterable
from dataclasses import dataclass, field

# How many clients are remembered that were served while others waited.
REMEMBERED = 1000


@dataclass(slots=True, eq=False)
class Waiter:
    """A task that waits: the clients for which it does, and its kind.

    When it gets a place, `place` is the client whose it is.
    """

    clients: Callable[[], Collection[str]]
    kind: Hashable
    place: asyncio.Future[str] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )


class Places:
    """A number of places, of which a client has at most `share`."""

    def __init__(self, number: int, share: int | None = None) -> None:
        # Negative if more tasks than that have a place.
        self.free = number
        self._share = number if share is None else share
        self._taken: Counter[str] = Counter()
        # In the order of arrival.
        self._waiting: dict[Waiter, None] = {}
        # When clients were served for each kind of task, as a number.
        self._served: dict[tuple[Hashable, str], int] = {}
        self._number = 0

    def __len__(self) -> int:
        """Return how many tasks wait."""
        return len(self._waiting)

    def take(self, clients: Iterable[str]) -> str | None:
        """Take a place if one is free for one of the clients; return whose it is."""
        if self.free > 0:
            for client in clients:
                if self._taken[client] < self._share:
                    self.add(client)
                    return client
        return None

    def add(self, client: str) -> None:
        """Take a place although none may be free."""
        self.free -= 1
        self._taken[client] += 1

    async def wait(self, clients: Callable[[], Collection[str]], kind: Hashable = None) -> str:
        """Wait for a place; return the client whose it is.

        The task waits for all `clients`, of which there is at least one until it has its place.
        Waiting tasks of each kind are served in turn too.
        """
        waiter = Waiter(clients, kind)
        self._waiting[waiter] = None
        try:
            return await waiter.place
        except asyncio.CancelledError:
            if waiter.place.done() and not waiter.place.cancelled():
                self.release(waiter.place.result())
            raise
        finally:
            self._waiting.pop(waiter, None)

    def release(self, client: str) -> None:
        """Give the place of a client to a task that waits."""
        self.free += 1
        self._taken[client] -= 1
        if not self._taken[client]:
            del self._taken[client]
        self.give()

    def give(self) -> None:
        """Give free places to tasks that wait; call it if there is another client for one."""
        while self.free > 0 and (found := self._next()):
            waiter, chosen = found
            del self._waiting[waiter]
            self._remember(waiter.kind, chosen)
            self.add(chosen)
            waiter.place.set_result(chosen)

    def _next(self) -> tuple[Waiter, str] | None:
        """Return the task that is served next, and its client that was served least recently."""
        candidates = (
            (waiter, client)
            for waiter in self._waiting
            # The task of one that is done has not noticed yet that it is cancelled.
            if not waiter.place.done()
            for client in waiter.clients()
            if self._taken[client] < self._share
        )
        return min(candidates, key=self._last_served, default=None)

    def _last_served(self, candidate: tuple[Waiter, str]) -> int:
        waiter, client = candidate
        return self._served.get((waiter.kind, client), 0)

    def _remember(self, kind: Hashable, client: str) -> None:
        if not self._waiting or len(self._served) == REMEMBERED:
            self._served.clear()
        self._number += 1
        self._served[kind, client] = self._number
