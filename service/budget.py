"""A budget: memory of the process that the clients share."""

from collections import Counter
from collections.abc import Callable
from typing import Generic, TypeVar

Holder = TypeVar("Holder")


class Budget(Generic[Holder]):
    """Counts the bytes that bodies or responses hold; `end` ends one of them.

    If they exceed the limit, the largest one of the client that holds most is ended: others are
    not affected, whatever this client does.
    """

    def __init__(self, limit: int, end: Callable[[Holder], None]) -> None:
        self.held = 0
        self._limit, self._end = limit, end
        # The client and the bytes of each holder, in the order in which they began.
        self._holders: dict[Holder, tuple[str, int]] = {}

    def hold(self, holder: Holder, client: str, size: int) -> None:
        """Add `size` bytes that a client's body or response holds."""
        _, before = self._holders.get(holder, ("", 0))
        self._holders[holder] = client, before + size
        self.held += size
        while self.held > self._limit:
            largest = self._largest()
            self.release(largest)
            self._end(largest)

    def release(self, holder: Holder) -> None:
        """Stop counting a body or a response."""
        _, size = self._holders.pop(holder, ("", 0))
        self.held -= size

    def _largest(self) -> Holder:
        totals: Counter[str] = Counter()
        for client, size in self._holders.values():
            totals[client] += size
        # Of equal ones, the first.
        most = max(totals, key=totals.__getitem__)
        sizes = {one: size for one, (client, size) in self._holders.items() if client == most}
        return max(sizes, key=sizes.__getitem__)
