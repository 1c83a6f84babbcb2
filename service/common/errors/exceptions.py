"""The errors of responses, each with its rows of the catalogue."""

import inspect
from asyncio import CancelledError
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import Any, ClassVar

from service import limits

MAX_FAULTS = limits.FAULTS.value
MAX_QUOTED = limits.QUOTED_CHARACTERS.value


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that a schema found wrong: where (RFC 6901), which keyword, and a sentence.

    `line` is that of an imported file, from 1.
    """

    pointer: str
    keyword: str
    message: str
    line: int | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the facts that there are."""
        return {name: value for name, value in asdict(self).items() if value is not None}


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the catalogue: a status of an error, when it is answered, and what a client can do.

    `error_rows` adds what the exception itself says: `type`, `title` and its headers.
    """

    status: int
    when: str
    action: str
    headers: tuple[str, ...] = ()
    # The component of OpenAPI; operations answer nothing else.
    response: str = ""
    # What nginx says if the error is its own.
    proxy: str = ""
    type: str = ""
    title: str = ""


class JSONException(Exception):  # noqa: N818  # The name that is the `type` of older clients.
    """The base: an error with a status code, a sentence and, after a schema, its faults.

    `limit` is the name of the limit in service/limits.py that was reached, for the log.
    """

    status_code: ClassVar[int] = 500
    headers: ClassVar[Mapping[str, str]] = MappingProxyType({})
    rows: ClassVar[Sequence[Row]] = ()

    def __init__(
        self,
        message: str = "",
        *,
        status_code: int | None = None,
        faults: Sequence[Fault] = (),
        headers: Mapping[str, str] | None = None,
        limit: str = "",
    ) -> None:
        super().__init__(message or "; ".join(fault.message for fault in faults))
        self.message = message
        self.faults = faults[:MAX_FAULTS]
        self.code = status_code or self.status_code
        self.response_headers = {**self.headers, **(headers or {})}
        self.limit = limit

    @classmethod
    def title(cls) -> str:
        """Return what the error means, in a sentence."""
        return (inspect.getdoc(cls) or cls.__name__).splitlines()[0].rstrip(".")

    def to_dict(self) -> dict[str, Any]:
        """Return the facts of the error, as the envelope holds them."""
        facts: dict[str, Any] = {"code": self.code, "type": type(self).__name__}
        if not self.faults:
            return facts | {"message": self.message}
        return facts | {
            "message": [fault.message for fault in self.faults],
            "errors": [fault.to_dict() for fault in self.faults],
        }


class InvalidAPIRequest(JSONException):
    """The request is malformed, invalid, or for an unknown URL."""

    status_code = 400
    rows = (
        Row(
            400,
            "The body is not well-formed JSON, the request has both `Content-Length` and "
            "`Transfer-Encoding`, or the head is not HTTP/1.1.",
            "Correct it as the message says.",
            response="MalformedRequest",
            proxy="The request is not well-formed HTTP.",
        ),
        Row(
            404,
            "There is no such URL.",
            "See `/openapi.json`.",
            proxy="The requested URL was not found on the server.",
        ),
        Row(
            405,
            "The URL does not have this method.",
            "Use a method that `Allow` names.",
            headers=("Allow",),
            proxy="The method is not allowed for the requested URL.",
        ),
        Row(
            413,
            "The body is larger than the service takes.",
            "Send less, or have `MAX_BODY_BYTES` (for files: `MAX_IMPORT_BYTES`) raised.",
            response="BodyTooLarge",
            proxy="The body is larger than the service takes.",
        ),
        Row(414, "The URL is too long.", "Send a shorter one.", proxy="The URL is too long."),
        Row(
            422,
            "The body, a parameter or a header is not as its schema says.",
            "Correct each of `errors`; without it, what the message names.",
            response="InvalidRequest",
        ),
        Row(
            431,
            "There are more than 100 header fields, each line of a continued one counted, or "
            "they are too long.",
            "Send fewer or shorter ones.",
            response="HeadTooLarge",
            proxy="A header is too long.",
        ),
    )


class RecordNotFound(JSONException):
    """There is no such record."""

    status_code = 404
    rows = (
        Row(
            404,
            "There is no such record.",
            "Check the `id`; the record may have been deleted.",
            response="RecordNotFound",
        ),
    )


class RequestTimeout(JSONException):
    """The body arrived too slowly."""

    status_code = 408
    headers = {"Connection": "close"}  # noqa: RUF012  # Typed as a read-only Mapping above.
    rows = (
        Row(
            408,
            "The body arrived too slowly; the connection closes.",
            "Send it again.",
            response="BodyTooSlow",
        ),
    )


class RecordAlreadyExists(JSONException):
    """A record with such a unique value exists."""

    status_code = 409
    rows = (
        Row(
            409,
            "A unique value is taken, or the change conflicts with another record.",
            "Choose another value.",
            response="Conflict",
        ),
    )


class Conflict(JSONException):
    """The current state of the record does not allow the change."""

    status_code = 409
    rows = (
        Row(
            409,
            "A rule does not allow the change in the current state of the record.",
            "Do what the message says.",
            response="Conflict",
        ),
    )


class PreconditionFailed(JSONException):
    """The record is not at a version that the conditions admit."""

    status_code = 412
    rows = (
        Row(
            412,
            "The current version of the record is not one that `If-Match` and `If-None-Match` "
            "admit.",
            "Read the record again, then decide.",
            headers=("ETag",),
            response="PreconditionFailed",
        ),
    )

    def __init__(self, message: str = "", *, tag: str | None = None, **options: Any) -> None:
        super().__init__(message, **options)
        if tag is not None:
            self.response_headers["ETag"] = tag


class InvalidContentType(JSONException):
    """The body is not of a media type that the route reads."""

    status_code = 415
    rows = (
        Row(
            415,
            "The body has a media type, a charset or an encoding that is not read here.",
            "Send `Content-Type: application/json`, or another type that the message names.",
            response="InvalidContentType",
        ),
    )


class TooManyRequests(JSONException):
    """Too many requests come from one client."""

    # Only nginx counts requests, and it answers by itself; a view may raise this.
    status_code = 429
    headers = {"Retry-After": "1"}  # noqa: RUF012
    rows = (
        Row(
            429,
            "Too many requests come from this address.",
            "Try again after `Retry-After` seconds.",
            response="TooManyRequests",
            proxy="There are too many requests from this address. Try again shortly.",
        ),
    )


class InternalError(JSONException):
    """An unexpected error; the log has it under the request id."""

    status_code = 500
    rows = (
        Row(
            500,
            "An unexpected error occurred.",
            "Tell the operator the request id: the log has the cause under it.",
            response="InternalError",
            proxy="An unexpected error happened.",
        ),
        Row(
            501,
            "The transfer encoding is not supported.",
            "Send a `Content-Length`, or `Transfer-Encoding: chunked`.",
            proxy="The transfer encoding is not supported.",
        ),
        Row(
            505,
            "The version of HTTP is not supported.",
            "Use HTTP/1.1.",
            proxy="The version of HTTP is not supported.",
        ),
    )


class DatabaseError(JSONException):
    """The database is down or refuses."""

    status_code = 503
    headers = {"Retry-After": "1"}  # noqa: RUF012
    rows = (
        Row(
            503,
            "The database is down, refuses, or takes no changes at the moment. A change may "
            "have been stored if the connection broke right after the commit.",
            "Read the record; if the change is missing, try again after `Retry-After` seconds.",
            response="Unavailable",
        ),
    )

    def __init__(self, message: str = "", *, reason: str | None = None, **options: Any) -> None:
        super().__init__(message, **options)
        self.reason = reason


SHARE = (
    "As many requests of this kind are in progress from your address as one client may have: "
    "send fewer at a time."
)


class Unavailable(JSONException):
    """The service has no capacity left for the request at this moment."""

    status_code = 503
    headers = {"Retry-After": "1"}  # noqa: RUF012
    rows = (
        Row(
            503,
            "There is no capacity at this moment: too many connections, requests in progress, "
            "unfinished bodies (`MAX_BODIES_BYTES`) or imports; all database connections for such "
            "requests are in use, or as many as one client may use (`CLIENT_SHARE`); or another "
            "transaction holds a lock that a write needs.",
            "Try again after `Retry-After` seconds.",
            response="Unavailable",
            proxy="The service can't take the request at the moment. Try again shortly.",
        ),
    )


class DeadlineExceeded(JSONException):
    """The request or one of its statements took too long."""

    status_code = 504
    rows = (
        Row(
            504,
            "It took too long. A change may have been stored if the deadline cut off its commit.",
            "Read the record, then decide whether to send the change again.",
            response="DeadlineExceeded",
            proxy="The service did not answer in time.",
        ),
    )


def cause_of(error: BaseException) -> str:
    """Return why an error happened: its reason, or the first line of what lies at its bottom.

    What was waited for follows, if the error ended a wait: its notes.
    """
    notes: list[str] = []
    while True:
        notes += getattr(error, "__notes__", ())
        below = error.__cause__
        # Before Python 3.11.3, `asyncio.timeout` does not say that the cancellation is the cause.
        if below is None and isinstance(error, TimeoutError):
            below = error.__context__ if isinstance(error.__context__, CancelledError) else None
        if (isinstance(error, DatabaseError) and error.reason) or below is None:
            break
        error = below
    reason = error.reason if isinstance(error, DatabaseError) else None
    text = reason or f"{type(error).__name__}: {error}".split("\n", 1)[0]
    # Time-outs and cancellations have no text.
    return "; ".join([*([text] if str(error) or not notes else []), *notes])


def cut(text: str) -> str:
    """Shorten what a message quotes to 80 characters."""
    return text if len(text) <= MAX_QUOTED else f"{text[:MAX_QUOTED]}…"
