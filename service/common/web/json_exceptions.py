"""JSON exceptions: every error response has the same envelope, whatever its cause."""

from typing import TYPE_CHECKING, Any, cast

import structlog
from quart import current_app, request
from quart.wrappers import Response
from werkzeug.exceptions import HTTPException, InternalServerError, MethodNotAllowed, NotFound
from werkzeug.exceptions import RequestEntityTooLarge as BodyTooLarge
from werkzeug.exceptions import RequestTimeout as BodyTooSlow

from service.common.database import translate
from service.common.errors import (
    DeadlineExceeded,
    InternalError,
    InvalidAPIRequest,
    JSONException,
    RequestTimeout,
    TooManyRequests,
    Unavailable,
    cause_of,
    cut,
)
from service.common.web.bodies import TOO_SLOW
from service.common.web.json_responses import MEDIA_TYPE as JSON
from service.common.web.request_id import current_request_id

if TYPE_CHECKING:
    from service.common.web.app import App

log = structlog.get_logger("service")
SERVER_ERROR = 500
# The types of some errors that `abort` raises.
EXCEPTION_BY_STATUS = {
    one.status_code: one for one in (TooManyRequests, Unavailable, DeadlineExceeded)
}


async def answer(error: Exception) -> Response:
    """Return the response for an exception, and log server errors."""
    if isinstance(error, InternalServerError) and isinstance(error.original_exception, Exception):
        # Quart's wrapper around an exception of an after-request hook.
        error = error.original_exception
    exception = to_json_exception(error)
    _note(exception)
    if exception.code == SERVER_ERROR:
        log.error("InternalError", method=request.method, path=request.path, exc_info=error)
    elif exception.code > SERVER_ERROR:
        # Expected occasionally: log a line with the cause, not a traceback.
        log.warning(type(exception).__name__, status=exception.code, cause=cause_of(error))
    facts = exception.to_dict() | {"request_id": current_request_id()}
    body, media_type = cast("App", current_app).error_body(exception, facts)
    response = cast("Response", current_app.json.response(body))
    response.status_code = exception.code
    response.content_type = media_type
    response.headers.update(exception.response_headers)
    response.vary.add("Accept")
    return response


def _note(exception: JSONException) -> None:
    """Note the reason for the line of the server's access log."""
    state = cast("dict[str, Any]", request.scope).setdefault("state", {})
    state["error"] = type(exception).__name__
    # An after-request hook may fail after an error.
    state.pop("limit", None)
    if exception.limit:
        state["limit"] = exception.limit


def envelope(exception: JSONException, facts: dict[str, Any]) -> tuple[dict[str, Any], str]:
    """Return the body of an error response, and its media type."""
    del exception
    return {"error": facts}, JSON


def to_json_exception(error: Exception) -> JSONException:
    """Return the exception as the JSONException that is answered."""
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
            return RequestTimeout(TOO_SLOW)
        case BodyTooLarge():
            return InvalidAPIRequest(
                f"The request body is larger than {request.max_content_length} bytes.",
                status_code=413,
            )
    code = error.code or SERVER_ERROR
    kind = EXCEPTION_BY_STATUS.get(
        code, InvalidAPIRequest if code < SERVER_ERROR else InternalError
    )
    headers: dict[str, str] = {}
    for name, value in error.get_headers():
        if name != "Content-Type":
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return kind(error.description or error.name, status_code=code, headers=headers)
