"""The body of a request: buffered up to a limit, or streamed with back-pressure."""

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from re import Pattern

from quart.wrappers.request import Body
from werkzeug.exceptions import RequestEntityTooLarge

from service.budget import Budget
from service.client import CLIENT
from service.common.database import Transfer
from service.common.errors import RequestTimeout, Unavailable
from service.metrics import count_limit

# The size of the buffer of a streamed body, and of a piece: some 40 of the shortest lines take a
# millisecond; other requests run between pieces.
HIGH_WATER = 1 << 16
PIECE_BYTES = 1 << 9
# Bytes that can be sent without end and store nothing.
BLANK = b" \t\r\n\v\f,"
TOO_SLOW = "The request body arrived too slowly."
TOO_MUCH = "Request bodies use too much memory. Try again shortly."


class MeasuredBody(Body):
    """A body that knows when the client has sent all of it; a budget, if any, counts its memory."""

    def __init__(
        self,
        expected: int | None,
        limit: int | None,
        budget: "Budget[MeasuredBody] | None" = None,
    ) -> None:
        super().__init__(expected, limit)
        self._budget = budget
        self.received = asyncio.Event()
        # If the announced length is too large, it is an error before the first byte.
        self._dropping = self._must_raise is not None

    def append(self, data: bytes) -> None:
        """Buffer a part of the body, up to the limit."""
        if self._dropping or not data:
            return
        self._data.extend(data)
        if self._max_content_length is not None and len(self._data) > self._max_content_length:
            self.give_up(RequestEntityTooLarge())
        else:
            self._has_data.set()
            if self._budget is not None:
                self._budget.hold(self, CLIENT.get(), len(data))

    def set_complete(self) -> None:
        """Mark the body as complete: the client has sent all of it."""
        super().set_complete()
        self.received.set()

    def give_up(self, error: Exception) -> None:
        """Discard the body, and raise `error` when it is read."""
        self.clear()
        self._must_raise = error
        super().set_complete()

    def clear(self) -> None:
        """Discard the body, including what is still to be received."""
        if not self._dropping:
            self._dropping = True
            self._data.clear()
            if self._budget is not None:
                self._budget.release(self)


def body_budget(limit: int) -> Budget[MeasuredBody]:
    """Return a budget for bodies that are not parsed yet; announced bytes do not count."""
    return Budget(limit, _reject)


def _reject(body: MeasuredBody) -> None:
    count_limit("BODIES_BYTES")
    body.give_up(Unavailable(TOO_MUCH, limit="BODIES_BYTES"))


class StreamedBody(MeasuredBody):
    """A body of at most `limit` bytes, of which only the buffers are in memory."""

    def __init__(self, expected: int | None, limit: int | None) -> None:
        super().__init__(expected, limit)
        self._length = 0
        self._has_space = asyncio.Event()
        if self._dropping:
            self._has_space.set()

    def append(self, data: bytes) -> None:
        """Buffer a part of the body until it is read."""
        if self._dropping:
            return
        self._length += len(data)
        if self._max_content_length is not None and self._length > self._max_content_length:
            self.give_up(RequestEntityTooLarge())
            return
        self._data.extend(data)
        if len(self._data) >= HIGH_WATER:
            self._has_space.clear()
        self._has_data.set()

    async def __anext__(self) -> bytes:
        """Return what has been received."""
        self._has_space.set()
        return await super().__anext__()

    async def wait_for_space(self) -> None:
        """Wait until the buffer has space."""
        await self._has_space.wait()

    def clear(self) -> None:
        """Discard the body, including what is still to be received."""
        super().clear()
        self._has_space.set()

    async def pieces(
        self, transfer: Transfer, turn: asyncio.Lock, content: Pattern[bytes]
    ) -> AsyncIterator[bytes]:
        """Yield the body in pieces; in each iteration of the loop one body of those with `turn`.

        Lines without a match of `content` are skipped at next to no cost, so data without one are a
        single piece. Raises RequestTimeout (408) if the transfer is ended, and
        RequestEntityTooLarge (413).
        """
        while True:
            try:
                async with asyncio.timeout(None) as limit:
                    with transfer.waiting(partial(limit.reschedule, 0)):
                        data = await anext(self, None)
            except TimeoutError as error:
                raise RequestTimeout(TOO_SLOW, limit=transfer.limit) from error
            if transfer.ended:
                # It was ended just when more data arrived.
                raise RequestTimeout(TOO_SLOW, limit=transfer.limit)
            if data is None:
                # The body may have been rejected meanwhile.
                if self._must_raise is not None:
                    raise self._must_raise
                return
            transfer.move(len(data.translate(None, BLANK)))
            piece = PIECE_BYTES if content.search(data) else len(data)
            for start in range(0, len(data), piece):
                async with turn:
                    await asyncio.sleep(0)
                yield data[start : start + piece]
