"""The memory budget of the process for responses that clients have not read yet."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from service.metrics import count_limit


class Sender(Protocol):
    """A connection that sends a response."""

    def abort(self, cause: str) -> None:
        """Close the connection, and discard the response."""


class UnreadResponses:
    """Counts the bytes of responses whose clients are waited for, and limits them."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._held = 0
        # The connection that has waited longest is first.
        self._sizes: dict[Sender, int] = {}

    @contextmanager
    def waiting(self, connection: Sender, size: int) -> Iterator[None]:
        """Count `size` bytes while the client is waited for.

        While there are too many bytes, the response is aborted whose client has read nothing for
        the longest time.
        """
        self._sizes[connection] = size
        self._held += size
        while self._held > self._limit and len(self._sizes) > 1:
            longest = next(iter(self._sizes))
            self._release(longest)
            count_limit("UNREAD_BYTES")
            longest.abort("the unread responses of all clients exceed UNREAD_BYTES")
        try:
            yield
        finally:
            self._release(connection)

    def _release(self, connection: Sender) -> None:
        self._held -= self._sizes.pop(connection, 0)
