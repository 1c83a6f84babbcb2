"""Places: what a limited number of tasks may use concurrently, and whose turn it is.

A client with fewer places is served before one with more. Of those with as many, the one that has
used them for the shortest time is first, if that is known, and otherwise each in turn. The tasks of
a client are served in the order of arrival. So one with many tasks, or long ones, delays those of
others no more than one with few and short ones.
"""

import asyncio
import sys
from collections import Counter, OrderedDict
from collections.abc import Callable, Hashable, Iterator


class Clients:
    """The clients for which a task needs a place; more may join while it waits."""

    def __init__(self, first: str) -> None:
        self._all = {first: None}
        self.when_added: Callable[[str], None] | None = None

    def __iter__(self) -> Iterator[str]:
        """Yield each client, in the order of joining."""
        return iter(self._all)

    def add(self, client: str) -> None:
        """Add a client."""
        if client not in self._all:
            self._all[client] = None
            if self.when_added is not None:
                self.when_added(client)


class Waiter:
    """A task that waits. When it gets a place, `place` is the client that it counts for."""

    def __init__(self, clients: Clients, kind: Hashable) -> None:
        self.clients, self.kind = clients, kind
        self.place: asyncio.Future[str] = asyncio.get_running_loop().create_future()


# The number of clients whose used time is kept.
MOST_CLIENTS = 1000
# How long a client that has used more time than others waits until they have used as much.
LONGEST_WAIT_SECONDS = 1

# The waiting tasks of each client, in the order of arrival. Of the clients with as many places the
# one whose turn is next is first.
Waiters = OrderedDict[str, dict[Waiter, None]]


class Places:
    """A number of places, of which a client has at most `share`."""

    def __init__(self, number: int, share: int | None = None) -> None:
        self.number = number
        # Negative if more tasks than that have a place.
        self.free = number
        # A share that is all of them limits nothing.
        self._share = sys.maxsize if share is None or share >= number else share
        self._taken: Counter[str] = Counter()
        # Of these, the places of tasks that have not run since they got them.
        self._not_yet_resumed: Counter[str] = Counter()
        # The time that each client has used, and the fair part of each client that waits. A new
        # client begins with this part, so it is not ahead by all that others have used before.
        self._used: dict[str, float] = {}
        self._fair_part = 0.0
        # By kind of task: the kind whose turn is next is first.
        self._turns: OrderedDict[Hashable, Waiters] = OrderedDict()
        self._waiting = 0

    def __len__(self) -> int:
        """Return how many tasks wait."""
        return self._waiting

    def remaining(self, client: str) -> int:
        """Return how many more places a client may have."""
        return self._share - self._taken[client]

    def not_yet_resumed(self, client: str) -> int:
        """Return how many tasks of a client have got a place, but have not run since."""
        return self._not_yet_resumed[client]

    def waiting(self, client: str) -> int:
        """Return how many tasks of a client wait."""
        return sum(len(turns.get(client, ())) for turns in self._turns.values())

    def has_any(self, client: str) -> bool:
        """Return whether a client has a place."""
        return client in self._taken

    def take(self, clients: Clients) -> str | None:
        """Take a place if one is free for one of the clients, and return this client."""
        if self.free > 0:
            for client in clients:
                if self.remaining(client) > 0:
                    self.add(client)
                    return client
        return None

    def resize(self, number: int) -> None:
        """Change the number of places; tasks that have one keep it."""
        self.free += number - self.number
        self.number = number

    def add(self, client: str) -> None:
        """Take a place although none may be free."""
        self.free -= 1
        self._taken[client] += 1

    def charge(self, client: str, seconds: float) -> None:
        """Add to the time that a client has used.

        As in weighted fair queueing (Demers, Keshav and Shenker, 1989).
        """
        if len(self._used) > MOST_CLIENTS:
            self._used.clear()
        used = self._used.get(client, self._fair_part) + seconds
        sharing = {client}.union(*self._turns.values())
        self._fair_part += seconds / len(sharing)
        behind = LONGEST_WAIT_SECONDS * self.number / len(sharing)
        self._used[client] = min(used, self._fair_part + behind)

    async def wait(self, clients: Clients, kind: Hashable = None) -> str:
        """Wait for a place, and return the client that it counts for.

        The task has the turns of all its clients. If tasks of several kinds wait, the kinds are
        served in turn.
        """
        waiter = Waiter(clients, kind)
        self._waiting += 1
        for client in clients:
            self._queue(waiter, client)

        def join(client: str) -> None:
            self._queue(waiter, client)
            self._give()

        clients.when_added = join
        try:
            return await waiter.place
        except asyncio.CancelledError:
            if waiter.place.done() and not waiter.place.cancelled():
                self.release(waiter.place.result())
            else:
                self._remove(waiter)
            raise
        finally:
            if waiter.place.done() and not waiter.place.cancelled():
                self._not_yet_resumed -= Counter([waiter.place.result()])

    def release(self, client: str) -> None:
        """Give the place of a client to a task that waits."""
        self.free += 1
        self._taken[client] -= 1
        if not self._taken[client]:
            del self._taken[client]
        self._give()

    def _queue(self, waiter: Waiter, client: str) -> None:
        turns = self._turns.setdefault(waiter.kind, OrderedDict())
        if client not in turns and self._fair_part:
            self._used[client] = max(self._fair_part, self._used.get(client, 0))
        turns.setdefault(client, {})[waiter] = None

    def _remove(self, waiter: Waiter) -> None:
        self._waiting -= 1
        waiter.clients.when_added = None
        turns = self._turns[waiter.kind]
        for client in waiter.clients:
            del turns[client][waiter]
            if not turns[client]:
                del turns[client]
        if not turns:
            del self._turns[waiter.kind]

    def _give(self) -> None:
        while self.free > 0 and (found := self._next()):
            waiter, client = found
            turns = self._turns[waiter.kind]
            self._turns.move_to_end(waiter.kind)
            turns.move_to_end(client)
            self._remove(waiter)
            self.add(client)
            self._not_yet_resumed[client] += 1
            waiter.place.set_result(client)

    def _next(self) -> tuple[Waiter, str] | None:
        for turns in self._turns.values():
            found, least = None, (self._share, 0.0)
            for client, waiters in turns.items():
                rank = self._taken.get(client, 0), self._used.get(client, 0.0)
                if rank >= least:
                    continue
                for waiter in waiters:
                    # One whose task was cancelled, but has not run since, is done.
                    if not waiter.place.done():
                        found, least = (waiter, client), rank
                        break
                if not any(least):
                    # No other can have less.
                    break
            if found:
                return found
        return None
