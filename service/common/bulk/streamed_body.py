"""A request body that is read as it arrives, with back-pressure: Quart's has none.

If the application does not read, no more is received than fits the buffers.
"""

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

from quart.wrappers import Request
from werkzeug.exceptions import RequestEntityTooLarge, RequestTimeout

from service import limits
from service.common.database.transfers import Transfer
from service.common.web.body_limits import MeasuredBody
from service.common.web.connection import OneTaskConnection
from service.common.web.peer import on_client_close

MAX_TYPE_BYTES = limits.CONTENT_TYPE_BYTES.value
# How much is kept unread, and how much is read at once; other requests run in between.
HIGH_WATER = 1 << 16
PIECE = 1 << 12
# Bytes that may be sent without end and store nothing.
BLANK = b" \t\r\n\v\f,"


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
            transfer.move(len(data.translate(None, BLANK)))
            for start in range(0, len(data), PIECE):
                async with turn:
                    await asyncio.sleep(0)
                yield data[start : start + PIECE]


class StreamingConnection(OneTaskConnection):
    """Quart's way from ASGI to a request, with a streamed body for some media types."""

    media_types: tuple[str, ...]
    limit: int

    def _create_request_from_scope(self, send: Any) -> Request:
        request = super()._create_request_from_scope(send)
        if request.method == "POST":
            media_type = request.headers.get("Content-Type", "").lower()
            # A longer one is refused before its parameters are read.
            if media_type.startswith(self.media_types) and len(media_type) <= MAX_TYPE_BYTES:
                request.max_content_length = self.limit
                request.body = StreamedBody(request.content_length, self.limit)
        return request

    async def handle_messages(self, request: Request, receive: Any) -> None:
        """Receive the body while it has room for more."""
        body: object = request.body
        if not isinstance(body, StreamedBody):
            await super().handle_messages(request, receive)
            return

        async def take() -> Any:
            await body.room()
            return await receive()

        with on_client_close(self.scope, self.give_up):
            await super().handle_messages(request, take)
