"""The errors that are answered in the envelope: a status code and one sentence each."""

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


class JSONException(Exception):  # noqa: N818  # Flusk's name, and its clients' `type`.
    """The base: an error with a status code, a sentence and, after a schema, its faults."""

    status_code: ClassVar[int] = 500
    headers: ClassVar[Mapping[str, str]] = MappingProxyType({})

    def __init__(
        self,
        message: str = "",
        *,
        status_code: int | None = None,
        faults: Sequence[Fault] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message or "; ".join(fault.message for fault in faults))
        self.message = message
        self.faults = faults[:MAX_FAULTS]
        self.code = status_code or self.status_code
        self.response_headers = {**self.headers, **(headers or {})}

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
    """The request is malformed, faulty, or asks for what is not there."""

    status_code = 400


class InvalidPermissions(JSONException):
    """The key is missing or wrong."""

    status_code = 401
    headers = {"WWW-Authenticate": "Bearer"}  # noqa: RUF012  # Typed as a read-only Mapping above.


class RecordNotFound(JSONException):
    """There is no such record."""

    status_code = 404


class RequestTimeout(JSONException):
    """The body arrived too slowly."""

    status_code = 408
    headers = {"Connection": "close"}  # noqa: RUF012


class RecordAlreadyExists(JSONException):
    """A record with such a unique value exists."""

    status_code = 409


class Conflict(JSONException):
    """The present state of the record does not allow the change."""

    status_code = 409


class RequestInProgress(JSONException):
    """The first request with this key is still running."""

    status_code = 409
    headers = {"Retry-After": "1"}  # noqa: RUF012


class PreconditionFailed(JSONException):
    """The record is not at a version that the conditions admit; `tag` is the entity tag it has."""

    status_code = 412

    def __init__(self, message: str = "", *, tag: str | None = None, **options: Any) -> None:
        super().__init__(message, **options)
        if tag is not None:
            self.response_headers["ETag"] = tag


class InvalidContentType(JSONException):
    """The body is not of a media type that the route reads."""

    status_code = 415


class InternalError(JSONException):
    """Something unforeseen: the log has it under the request id."""

    status_code = 500


class DatabaseError(JSONException):
    """The database is down or refuses; `reason` is for the log alone."""

    status_code = 503
    headers = {"Retry-After": "1"}  # noqa: RUF012

    def __init__(self, message: str = "", *, reason: str | None = None, **options: Any) -> None:
        super().__init__(message, **options)
        self.reason = reason


class Unavailable(JSONException):
    """The service has no capacity left for the request at this moment."""

    status_code = 503
    headers = {"Retry-After": "1"}  # noqa: RUF012


class DeadlineExceeded(JSONException):
    """The request or one of its statements took too long."""

    status_code = 504


def cause_of(error: BaseException) -> str:
    """Return why an error happened: its reason, or the first line of what lies at its bottom.

    What was waited for follows, if the error ended a wait: its notes.
    """
    notes: list[str] = []
    while True:
        notes += getattr(error, "__notes__", ())
        if (isinstance(error, DatabaseError) and error.reason) or error.__cause__ is None:
            break
        error = error.__cause__
    reason = error.reason if isinstance(error, DatabaseError) else None
    text = reason or f"{type(error).__name__}: {error}".split("\n", 1)[0]
    # Timeouts and cancellations have no text.
    return "; ".join([*([text] if str(error) or not notes else []), *notes])


def cut(text: str) -> str:
    """Shorten what a message quotes to 80 characters."""
    return text if len(text) <= MAX_QUOTED else f"{text[:MAX_QUOTED]}…"
