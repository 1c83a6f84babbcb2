"""Body limits: 413 if a body is too large, 408 if it is too slow, 503 if all hold too much.

A request with both `Content-Length` and `Transfer-Encoding` is a 400.

If a connection is closed while its client still sends, the client loses the answer, and a proxy
loses the requests of others. So an answer waits for the rest of the body for a short time, and then
says that the connection closes (RFC 9112, section 9.6).
"""

import asyncio
from typing import cast

from quart import Quart
from quart.wrappers import Response
from quart.wrappers.request import Body, Request
from werkzeug.exceptions import RequestEntityTooLarge, RequestTimeout
from werkzeug.utils import cached_property

from service import limits
from service.common.errors import InvalidAPIRequest
from service.common.web.body_budget import Budget
from service.common.web.connection import current_request

LINGER_SECONDS = limits.LINGER_SECONDS.value


class MeasuredBody(Body):
    """A body that knows when the client has sent all of it, and counts what it keeps."""

    budget = Budget(limits.BODIES_BYTES.value)

    def __init__(self, expected: int | None, limit: int | None) -> None:
        super().__init__(expected, limit)
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
            self.budget.hold(self, len(data))

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
            self.budget.release(self)


class MeasuredRequest(Request):
    """A request with a measured body."""

    body_class = MeasuredBody  # type: ignore[assignment]  # Quart does not mean the type so narrowly.

    @cached_property
    def blueprints(self) -> list[str]:
        """Look up the blueprints that the request is for, once."""
        return super().blueprints


def register(app: Quart, max_bytes: int, all_bytes: int, seconds: float) -> None:
    """Refuse a body of more than `max_bytes`, or one that takes longer than `seconds`.

    All of them together keep at most `all_bytes` in memory.
    """

    class AppBody(MeasuredBody):
        budget = Budget(all_bytes)

    class AppRequest(MeasuredRequest):
        body_class = AppBody

    app.request_class = AppRequest
    app.config["MAX_CONTENT_LENGTH"] = max_bytes
    app.config["BODY_TIMEOUT"] = seconds
    app.before_request(check_framing)
    app.after_request(finish_body)


async def body_size() -> int:
    """Return the size of the body, once all of it is there. Raises what is answered 408 or 413."""
    asked = current_request()
    try:
        # Quart's own way takes a task.
        async with asyncio.timeout(asked.body_timeout):
            return len(await asked.body)
    except TimeoutError as error:
        raise RequestTimeout from error


async def take_body() -> bytes:
    """Return the body, and keep no copy of it. Raises Unavailable: it has been given up."""
    received = current_request().body
    body: bytes = await received
    received.clear()
    return body


async def check_framing() -> None:
    """Raise InvalidAPIRequest if the request has two lengths, or announces a body that is too long.

    A view that reads no body would not notice.
    """
    asked = current_request()
    if "Content-Length" not in asked.headers:
        return
    length, limit = asked.content_length, asked.max_content_length
    if limit is not None and (length or 0) > limit:
        raise RequestEntityTooLarge
    if has_two_lengths(asked):
        raise InvalidAPIRequest(
            "The request has both `Content-Length` and `Transfer-Encoding`: send one of them."
        )


def has_two_lengths(asked: Request) -> bool:
    """Return whether the request has both `Content-Length` and `Transfer-Encoding`.

    A server in front may have used the other, and so another end of the body: request smuggling.
    Such a connection is to be closed (RFC 9112, section 6.1).
    """
    # werkzeug gives no length if the body is chunked.
    return "Content-Length" in asked.headers and asked.content_length is None


async def finish_body(response: Response) -> Response:
    """Wait for the rest of the body for a short time, then have the connection closed."""
    asked = current_request()
    body = cast("MeasuredBody", asked.body)
    if has_two_lengths(asked):
        response.headers["Connection"] = "close"
    body.clear()
    if body.received.is_set() or "Connection" in response.headers:
        return response
    try:
        await asyncio.wait_for(body.received.wait(), LINGER_SECONDS)
    except TimeoutError:
        response.headers["Connection"] = "close"
    return response
