"""The budget of the process for bodies that are not parsed yet.

If the bodies hold more than it, the largest is given up. So a body is refused only if none is
larger: small ones are accepted, however many large ones are unfinished.
"""

from typing import Protocol

from service.common.errors import Unavailable


class Holder(Protocol):
    """A body that holds bytes of a budget."""

    def give_up(self, error: Exception) -> None:
        """Release everything, and answer the request with the error."""


class Budget:
    """Counts the bytes that all bodies hold: those received, not those announced."""

    def __init__(self, limit: int) -> None:
        self.held = 0
        self._limit = limit
        self._sizes: dict[Holder, int] = {}

    def hold(self, body: Holder, size: int) -> None:
        """Count `size` more bytes of a body, and give up the largest while there are too many."""
        self.held += size
        self._sizes[body] = self._sizes.get(body, 0) + size
        while self.held > self._limit:
            largest = max(self._sizes, key=self._sizes.__getitem__)
            self.release(largest)
            largest.give_up(
                Unavailable("The service holds too many bodies of requests. Try again shortly.")
            )

    def release(self, body: Holder) -> None:
        """Stop counting a body."""
        self.held -= self._sizes.pop(body, 0)
