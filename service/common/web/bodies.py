"""The body of a request: kept up to a limit, or read as it arrives, with back-pressure."""

import asyncio
from collections.abc import AsyncIterator
from functools import partial

from quart.wrappers.request import Body
from werkzeug.exceptions import RequestEntityTooLarge, RequestTimeout

from service import limits
from service.common.database import Transfer
from service.common.web.body_budget import Budget

# How much of a streamed body is kept unread, and how much is read at once: some 40 of the shortest
# lines take a millisecond, and other requests run in between.
HIGH_WATER = 1 << 16
PIECE = 1 << 9
# Bytes that may be sent without end and store nothing.
BLANK = b" \t\r\n\v\f,"


class MeasuredBody(Body):
    """A body that knows when the client has sent all of it, and counts what it keeps."""

    def __init__(
        self, expected: int | None, limit: int | None, budget: Budget | None = None
    ) -> None:
        super().__init__(expected, limit)
        self._budget = budget or Budget(limits.BODIES_BYTES.value)
        self.received = asyncio.Event()
        # If the announced length is too large, it is an error before the first byte.
        self._dropping = self._must_raise is not None

    def append(self, data: bytes) -> None:
        """Keep a part of the body, up to the limit."""
        if self._dropping or not data:
            return
        self._data.extend(data)
        if self._max_content_length is not None and len(self._data) > self._max_content_length:
            self.give_up(RequestEntityTooLarge())
        else:
            self._has_data.set()
            self._budget.hold(self, len(data))

    def set_complete(self) -> None:
        """Take the body for complete: the client has sent all of it."""
        super().set_complete()
        self.received.set()

    def give_up(self, error: Exception) -> None:
        """Drop the body, and raise `error` when it is read."""
        self.clear()
        self._must_raise = error
        super().set_complete()

    def clear(self) -> None:
        """Drop what was received, and what is still to be received: it is not read."""
        if not self._dropping:
            self._dropping = True
            self._data.clear()
            self._budget.release(self)


class StreamedBody(MeasuredBody):
    """A body of at most `limit` bytes, of which at most the buffers are in memory."""

    def __init__(self, expected: int | None, limit: int | None) -> None:
        super().__init__(expected, limit)
        self._length = 0
        self._room = asyncio.Event()
        if self._dropping:
            self._room.set()

    def append(self, data: bytes) -> None:
        """Keep a part of the body until it is read."""
        if self._dropping:
            return
        self._length += len(data)
        if self._max_content_length is not None and self._length > self._max_content_length:
            self.give_up(RequestEntityTooLarge())
            return
        self._data.extend(data)
        if len(self._data) >= HIGH_WATER:
            self._room.clear()
        self._has_data.set()

    async def __anext__(self) -> bytes:
        """Return what has been received."""
        self._room.set()
        return await super().__anext__()

    async def room(self) -> None:
        """Wait until more may be received."""
        await self._room.wait()

    def clear(self) -> None:
        """Drop the body, and receive the rest without keeping it."""
        super().clear()
        self._room.set()

    async def pieces(self, transfer: Transfer, turn: asyncio.Lock) -> AsyncIterator[bytes]:
        """Yield the body in pieces; of those that share `turn`, one goes on in each iteration.

        Raises RequestTimeout (408) if the transfer is ended, and RequestEntityTooLarge (413).
        """
        while True:
            try:
                async with asyncio.timeout(None) as limit:
                    with transfer.waiting(partial(limit.reschedule, 0)):
                        data = await anext(self, None)
            except TimeoutError as error:
                raise RequestTimeout from error
            if transfer.ended:
                # At the moment when more arrived.
                raise RequestTimeout
            if data is None:
                # It may have been given up meanwhile.
                if self._must_raise is not None:
                    raise self._must_raise
                return
            text = len(data.translate(None, BLANK))
            transfer.move(text)
            # Blank lines cost next to nothing, and are read in one piece.
            piece = PIECE if text else len(data)
            for start in range(0, len(data), piece):
                async with turn:
                    await asyncio.sleep(0)
                yield data[start : start + piece]
