"""The memory budget of the process for bodies that are not parsed yet.

If the bodies exceed it, the largest is rejected: small bodies are accepted, however many large ones
are incomplete.
"""

from typing import Protocol

from service.common.errors import Unavailable
from service.metrics import count_limit

TOO_MUCH = "Request bodies use too much memory. Try again shortly."


class Holder(Protocol):
    """A body that uses the budget."""

    def give_up(self, error: Exception) -> None:
        """Discard the body, and answer the request with the error."""


class Budget:
    """Counts the received bytes of all bodies; announced bytes don't count."""

    def __init__(self, limit: int) -> None:
        self.held = 0
        self._limit = limit
        self._sizes: dict[Holder, int] = {}

    def hold(self, body: Holder, size: int) -> None:
        """Add `size` bytes of a body; reject the largest bodies while the budget is exceeded."""
        self.held += size
        self._sizes[body] = self._sizes.get(body, 0) + size
        while self.held > self._limit:
            largest = max(self._sizes, key=self._sizes.__getitem__)
            self.release(largest)
            count_limit("BODIES_BYTES")
            largest.give_up(Unavailable(TOO_MUCH, limit="BODIES_BYTES"))

    def release(self, body: Holder) -> None:
        """Stop counting a body."""
        self.held -= self._sizes.pop(body, 0)
