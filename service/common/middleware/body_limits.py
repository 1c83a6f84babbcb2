"""Body limits: 413 where a body is too large, 408 where it is too slow; none is left unread.

Where a body has two ends by its headers, it is a 400.

A connection that is closed while its client still sends loses the answer, and through a proxy
the requests of others. So an answer waits a moment for the rest of the body, or says that the
connection closes (RFC 9112, section 9.6).
"""

import asyncio
from typing import cast

from quart import Quart
from quart.wrappers import Response
from quart.wrappers.request import Body, Request
from werkzeug.exceptions import RequestEntityTooLarge, RequestTimeout
from werkzeug.utils import cached_property

from service.common.exceptions import InvalidAPIRequest
from service.common.middleware.connection import current_request

LINGER_SECONDS = 1


class MeasuredBody(Body):
    """A body that knows when the client has sent all of it; what is too much is dropped."""

    def __init__(self, expected: int | None, limit: int | None) -> None:
        super().__init__(expected, limit)
        self.received = asyncio.Event()
        self._appending = False

    def append(self, data: bytes) -> None:
        """Keep a part of the body, up to the limit."""
        self._appending = True
        super().append(data)
        self._appending = False

    def set_complete(self) -> None:
        """Take the body for complete: it is, or it is over the limit."""
        super().set_complete()
        if not self._appending:
            self.received.set()

    def drop(self) -> None:
        """Keep nothing of what still comes: nobody reads it."""
        self._data.clear()


class MeasuredRequest(Request):
    """A request with a measured body."""

    body_class = MeasuredBody  # type: ignore[assignment]  # Quart does not mean the type so narrowly.

    @cached_property
    def blueprints(self) -> list[str]:
        """Look up the blueprints that the request is for, once."""
        return super().blueprints


def register(app: Quart, max_bytes: int, seconds: float) -> None:
    """Refuse a body of more than `max_bytes`, or one that takes longer than `seconds`."""
    app.request_class = MeasuredRequest
    app.config["MAX_CONTENT_LENGTH"] = max_bytes
    app.config["BODY_TIMEOUT"] = seconds
    app.before_request(check_framing)
    app.after_request(finish_body)


async def read_body() -> bytes:
    """Return the body. Raises what is answered 408 or 413."""
    asked = current_request()
    try:
        # Quart's own way takes a task.
        async with asyncio.timeout(asked.body_timeout):
            body: bytes = await asked.body
    except TimeoutError as error:
        raise RequestTimeout from error
    return body


async def check_framing() -> None:
    """Raise InvalidAPIRequest where two headers tell where the body ends, or it is too long.

    A view that reads no body would not notice.
    """
    asked = current_request()
    if "Content-Length" not in asked.headers:
        return
    length, limit = asked.content_length, asked.max_content_length
    if limit is not None and (length or 0) > limit:
        raise RequestEntityTooLarge
    if has_two_ends(asked):
        raise InvalidAPIRequest(
            "The request has both `Content-Length` and `Transfer-Encoding`: send one of them."
        )


def has_two_ends(asked: Request) -> bool:
    """Return whether a server in front may have seen the body end elsewhere.

    That is how requests are smuggled; such a connection is to be closed (RFC 9112, section 6.1).
    """
    # werkzeug knows no length where there are chunks.
    return "Content-Length" in asked.headers and asked.content_length is None


async def finish_body(response: Response) -> Response:
    """Wait a moment for the rest of the body, or close the connection."""
    asked = current_request()
    body = cast("MeasuredBody", asked.body)
    if has_two_ends(asked):
        response.headers["Connection"] = "close"
    if body.received.is_set() or "Connection" in response.headers:
        return response
    body.drop()
    try:
        await asyncio.wait_for(body.received.wait(), LINGER_SECONDS)
    except TimeoutError:
        response.headers["Connection"] = "close"
    return response
