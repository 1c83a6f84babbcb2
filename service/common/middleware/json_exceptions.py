"""JSON exceptions: every error leaves in the one envelope, whatever its cause."""

from typing import cast

import structlog
from quart import Quart, current_app, request
from quart.wrappers import Response
from werkzeug.exceptions import HTTPException, MethodNotAllowed, NotFound
from werkzeug.exceptions import RequestEntityTooLarge as BodyTooLarge
from werkzeug.exceptions import RequestTimeout as BodyTooSlow

from service.common.database_errors import translate
from service.common.exceptions import (
    InternalError,
    InvalidAPIRequest,
    JSONException,
    RequestTimeout,
    cut,
)
from service.common.middleware.request_id import current_request_id

log = structlog.get_logger("service")
SERVER_ERROR = 500


def register(app: Quart) -> None:
    """Answer every exception with the envelope."""
    # Tests see what clients see: Quart would raise through the test client instead.
    app.config["PROPAGATE_EXCEPTIONS"] = False
    app.register_error_handler(Exception, answer)


async def answer(error: Exception) -> Response:
    """Return the envelope for an exception, and log what is the service's own fault."""
    exception = envelope_of(error)
    if exception.code >= SERVER_ERROR:
        log.error(
            type(exception).__name__,
            status=exception.code,
            method=request.method,
            path=request.path,
            exc_info=error,
        )
    facts = exception.to_dict() | {"request_id": current_request_id()}
    response = cast("Response", current_app.json.response({"error": facts}))
    response.status_code = exception.code
    response.headers.update(exception.response_headers)
    return response


def envelope_of(error: Exception) -> JSONException:
    """Return the error that a client is told of."""
    if isinstance(error, JSONException):
        return error
    if isinstance(error, HTTPException):
        return _from_http(error)
    return translate(error) or InternalError(
        "The service failed to answer. The log has the cause under this request id."
    )


def _from_http(error: HTTPException) -> JSONException:
    match error:
        case NotFound():
            path = cut(request.scope["path"])
            return InvalidAPIRequest(
                f"The requested URL `{path}` was not found on the server.", status_code=404
            )
        case MethodNotAllowed():
            methods = ", ".join(sorted(error.valid_methods or ()))
            return InvalidAPIRequest(
                f"The method `{cut(request.method)}` is not allowed here: use {methods}.",
                status_code=405,
                headers={"Allow": methods},
            )
        case BodyTooSlow():
            return RequestTimeout("The request body arrived too slowly.")
        case BodyTooLarge():
            return InvalidAPIRequest(
                f"The request body is larger than {request.max_content_length} bytes.",
                status_code=413,
                headers={"Connection": "close"},
            )
    return InvalidAPIRequest(error.description or error.name, status_code=error.code)
