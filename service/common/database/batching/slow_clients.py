"""Clients whose writes take long: they share no statement with those of other clients.

What a write costs may depend on what is stored: a small change of a record with large texts writes
all of their words to the search index again. A statement with writes of several clients does not
tell whose took long. So after a long one, some of its clients have statements of their own for a
while, which tell.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from math import inf
from time import monotonic

from service import limits

LONG_SECONDS = limits.SHARED_WRITE_MILLISECONDS.value / 1000
# How long a client has statements of its own, from its last long one on.
SEPARATE_SECONDS = 60
# How many clients have them at most: if all statements are long because the database is slow, the
# others must still share theirs.
MOST_SEPARATE = 8
# How long a statement of such a client may take; or this multiple of the shortest one, because
# fewer writes in each do not help if all take long.
LIMITED_SECONDS = 0.1
MULTIPLE = 3
# How long the number of its writes in a statement is limited after one that took longer, or one
# with as many writes as are allowed that took this fraction of it.
REMEMBERED_SECONDS = 5
RENEWING_FRACTION = 0.25


@dataclass(slots=True)
class _SeparateClient:
    """A client that has statements of its own, with as many writes as `limit`, until these times.

    `is_slow` tells whether its last one was long.
    """

    until: float
    limit: int = 0
    limited_until: float = 0
    is_slow: bool = False


class SlowClients:
    """The clients that have statements of their own, at most MOST_SEPARATE."""

    def __init__(self) -> None:
        # The one whose last long statement was the longest time ago is first.
        self._clients: dict[str, _SeparateClient] = {}
        # The shortest statement of the last interval of REMEMBERED_SECONDS, and of this one.
        self._shortest = [inf, inf]
        self._interval_ends = 0.0

    def is_separate(self, client: str) -> bool:
        """Return whether the client has statements of its own."""
        return self._is_in_time(client) and not self._is_database_slow()

    def limit(self, client: str) -> int | None:
        """Return how many writes of the client may share a statement; None if any number may."""
        found = self._clients.get(client)
        return found.limit if found is not None and found.limited_until > monotonic() else None

    def learn(self, clients: Sequence[str], seconds: float) -> None:
        """Take note of how long a statement took; `clients` has the client of each write."""
        self._note_shortest(seconds)
        if seconds > LONG_SECONDS and not self._is_database_slow():
            shared = [client for client in set(clients) if not self._is_in_time(client)]
            for client in random.sample(shared, min(len(shared), MOST_SEPARATE)):
                self._separate(client)
        if clients[0] in self._clients and len(set(clients)) == 1:
            self._learn_limit(clients[0], len(clients), seconds)

    def _is_in_time(self, client: str) -> bool:
        found = self._clients.get(client)
        return found is not None and found.until > monotonic()

    def _is_database_slow(self) -> bool:
        """Return whether the statements of all separate clients are long, so it is not theirs."""
        return len(self._clients) == MOST_SEPARATE and all(
            one.is_slow and one.until > monotonic() for one in self._clients.values()
        )

    def _note_shortest(self, seconds: float) -> None:
        now = monotonic()
        if now > self._interval_ends:
            self._shortest = [self._shortest[1], inf]
            self._interval_ends = now + REMEMBERED_SECONDS
        self._shortest[1] = min(self._shortest[1], seconds)

    def _separate(self, client: str) -> None:
        found = self._clients.pop(client, None) or _SeparateClient(0)
        found.until = monotonic() + SEPARATE_SECONDS
        self._clients[client] = found
        if len(self._clients) > MOST_SEPARATE:
            del self._clients[next(iter(self._clients))]

    def _learn_limit(self, client: str, count: int, seconds: float) -> None:
        longest = max(LIMITED_SECONDS, MULTIPLE * min(self._shortest))
        limit = self.limit(client)
        found = self._clients[client]
        found.is_slow = seconds > LONG_SECONDS
        if seconds > longest:
            self._separate(client)
        elif limit is None or count < limit or seconds < longest * RENEWING_FRACTION:
            return
        found.limit = max(1, int(count * longest / seconds))
        found.limited_until = monotonic() + REMEMBERED_SECONDS
