"""Body limits: 413 if a body is too large, 408 if it is too slow, 503 if all use too much memory.

A request with both `Content-Length` and `Transfer-Encoding` is a 400.

If a connection is closed while its client is still sending, the client loses the response, and a
proxy loses the requests of other clients. So a response waits for the rest of the body for a short
time, and then has `Connection: close` (RFC 9112, section 9.6).
"""

import asyncio
from typing import TYPE_CHECKING, cast

from quart import Quart, current_app
from quart.wrappers import Response
from quart.wrappers.request import Request
from werkzeug.exceptions import RequestEntityTooLarge

from service import limits
from service.common.errors import InvalidAPIRequest, RequestTimeout
from service.common.web.bodies import TOO_SLOW, MeasuredBody
from service.common.web.request import current_request
from service.metrics import count_limit

if TYPE_CHECKING:
    from service.common.web.app import App

LINGER_SECONDS = limits.LINGER_SECONDS.value


def register(app: Quart) -> None:
    """Reject a body that is too large, or whose length is ambiguous."""
    app.before_request(check_framing)
    app.after_request(finish_body)


async def body_size() -> int:
    """Return the size of the complete body. Raises the exceptions for 408 and 413."""
    asked = current_request()
    body = cast("MeasuredBody", asked.body)
    has_arrived = body.received.is_set()
    try:
        # Quart's own time-out needs a task.
        async with asyncio.timeout(asked.body_timeout):
            size = len(await body)
    except TimeoutError as error:
        count_limit("REQUEST_SECONDS")
        raise RequestTimeout(TOO_SLOW, limit="REQUEST_SECONDS") from error
    if not has_arrived:
        # Many may arrive in the same iteration of the event loop.
        await cast("App", current_app).turns.take()
    return size


async def take_body() -> bytes:
    """Return the body without keeping a copy. Raises Unavailable if it has been rejected."""
    received = current_request().body
    body: bytes = await received
    received.clear()
    return body


async def check_framing() -> None:
    """Raise InvalidAPIRequest if the body's length is ambiguous or too large.

    This also applies to views that read no body.
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

    A server in front may use the other one, and so see another end of the body: request smuggling.
    Such a connection must be closed (RFC 9112, section 6.1).
    """
    # werkzeug returns no length if the body is chunked.
    return "Content-Length" in asked.headers and asked.content_length is None


async def finish_body(response: Response) -> Response:
    """Wait for the rest of the body for a short time, then close the connection."""
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
