"""How many calls of one client may share a write: few, if they have just made one take long.

What a call costs may depend on what is stored: a small change of a record with large texts writes
all of their words to the search index again.
"""

from collections import Counter
from collections.abc import Iterable
from time import monotonic

from service import limits

LONG_SECONDS = limits.SHARED_WRITE_MILLISECONDS.value / 1000
# How long those with the calls of a limited client may take.
LIMITED_SECONDS = 0.1
# How long a client is limited after a write that was long, or one with all the calls that it may
# have and not shorter than this.
REMEMBERED_SECONDS = 5
RENEWING_SECONDS = LIMITED_SECONDS / 4


class SlowClients:
    """The clients whose calls made a shared write take long within the last seconds."""

    def __init__(self) -> None:
        # How many calls share a write, and until when.
        self._limits: dict[str, tuple[int, float]] = {}

    def limit(self, client: str) -> int | None:
        """Return how many calls of the client may share a write; None if it is not limited."""
        count, until = self._limits.get(client, (0, 0.0))
        return count if until > monotonic() else None

    def learn(self, clients: Iterable[str], seconds: float) -> None:
        """Take note of the clients of all calls of a shared write, and of how long it took.

        If it was long, the one with most calls is limited to as many as take LIMITED_SECONDS.
        """
        if seconds < RENEWING_SECONDS:
            return
        [(client, count)] = Counter(clients).most_common(1)
        limit = self.limit(client)
        if seconds > (LONG_SECONDS if limit is None else LIMITED_SECONDS):
            limit = max(1, int(count * LIMITED_SECONDS / seconds))
        elif limit is None or count < limit:
            return
        now = monotonic()
        self._limits = {one: found for one, found in self._limits.items() if found[1] > now}
        self._limits[client] = limit, now + REMEMBERED_SECONDS
