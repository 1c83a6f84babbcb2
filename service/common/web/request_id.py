"""Request ids: the client's, if it is well-formed, else a new one, in the response and the logs."""

import re
from secrets import token_hex
from typing import Any, cast

from quart import Quart, request
from quart.wrappers import Response
from structlog.contextvars import bind_contextvars

from service.common.web.request import current_request

REQUEST_ID = "X-Request-ID"
WELL_FORMED = re.compile(r"[A-Za-z0-9._-]{1,64}")


def register(app: Quart) -> None:
    """Add the request id to every response and log line."""
    app.before_request(assign_request_id)
    app.after_request(send_request_id)


async def assign_request_id() -> None:
    """Keep the inbound id or create one."""
    asked = current_request()
    request_id = choose_request_id(asked.headers.get(REQUEST_ID, ""))
    # The server's access log reads it here.
    cast("dict[str, Any]", asked.scope).setdefault("state", {})["request_id"] = request_id
    bind_contextvars(request_id=request_id)


async def send_request_id(response: Response) -> Response:
    """Add the id to the response."""
    response.headers[REQUEST_ID] = current_request_id()
    return response


def current_request_id() -> str:
    """Return the id of the current request."""
    return str(request.scope["state"]["request_id"])


def choose_request_id(inbound: str) -> str:
    """Return the id for a request whose `X-Request-ID` is `inbound`."""
    return inbound if inbound and WELL_FORMED.fullmatch(inbound) else token_hex(16)
