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
from quart.wrappers.request import Request
from werkzeug.exceptions import RequestEntityTooLarge, RequestTimeout

from service import limits
from service.common.errors import InvalidAPIRequest
from service.common.web.bodies import MeasuredBody
from service.common.web.request import current_request

LINGER_SECONDS = limits.LINGER_SECONDS.value


def register(app: Quart) -> None:
    """Refuse a body that is too large, and one that could be two."""
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
