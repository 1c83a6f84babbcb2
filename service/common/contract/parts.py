"""The parts of the contract that are in no schema file: media types, headers, errors."""

from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

Document = dict[str, Any]

JSON = "application/json"
PROBLEM = "application/problem+json"
REQUEST_ID = "X-Request-ID"
# The page that lists the types of errors, each at its name: see service/docs/.
TYPES = "/docs/errors#"


class Answer(NamedTuple):
    """An error: its component, its type, when it is answered, and headers beside the request id."""

    name: str
    type: str
    description: str
    headers: tuple[str, ...] = ()


INVALID = "InvalidAPIRequest"
ERRORS: Mapping[int, Answer] = {
    400: Answer(
        "MalformedRequest",
        INVALID,
        "The body is not well-formed JSON, or the headers tell its length twice.",
    ),
    401: Answer(
        "WrongKey", "InvalidPermissions", "The key is missing or wrong.", ("WWW-Authenticate",)
    ),
    404: Answer("RecordNotFound", "RecordNotFound", "There is no such record."),
    408: Answer(
        "BodyTooSlow", "RequestTimeout", "The body arrived too slowly; the connection closes."
    ),
    409: Answer(
        "Conflict",
        "RecordAlreadyExists",
        "A unique value is taken, a rule does not allow the change, or the first request with this "
        "key is still running.",
        ("Retry-After",),
    ),
    412: Answer(
        "PreconditionFailed",
        "PreconditionFailed",
        "The present version of the record is not one that the conditions admit.",
        ("ETag",),
    ),
    413: Answer("BodyTooLarge", INVALID, "The body is larger than the service takes."),
    415: Answer(
        "InvalidContentType",
        "InvalidContentType",
        "The body is of another media type or encoding.",
    ),
    422: Answer("InvalidRequest", INVALID, "The body or a parameter is not as its schema says."),
    429: Answer(
        "TooManyRequests",
        "TooManyRequests",
        "Too many requests come from this address.",
        ("Retry-After",),
    ),
    431: Answer("HeadTooLarge", INVALID, "There are too many header fields, or they are too long."),
    500: Answer(
        "InternalError",
        "InternalError",
        "Something unforeseen; the log has it under the request id.",
    ),
    503: Answer(
        "Unavailable",
        "DatabaseError",
        "The service or its database can't answer now.",
        ("Retry-After",),
    ),
    504: Answer("DeadlineExceeded", "DeadlineExceeded", "The request took too long."),
}
FIRST_ERROR = 400
# What the proxy or the server answers without the application has one form.
BEFORE_THE_APPLICATION = (429, 431)
EVERYWHERE = (400, 413, 415, 429, 431, 500, 503, 504)
WITH_BODY = (408,)

# The headers of every answer.
ALWAYS = (REQUEST_ID, "Cache-Control")
HEADERS: Document = {
    "X-Request-ID": {
        "description": "The id of the request, as in the log.",
        "required": True,
        "schema": {"type": "string", "pattern": "^[A-Za-z0-9._-]{1,64}$"},
    },
    "Cache-Control": {
        "description": "Who may keep the answer: no shared cache, and nobody without asking again.",
        "schema": {"type": "string", "enum": ["private, no-cache", "no-store"]},
    },
    "WWW-Authenticate": {
        "description": "How to send the key.",
        "required": True,
        "schema": {"type": "string", "const": "Bearer"},
    },
    "Retry-After": {
        "description": "After how many seconds to try again, where that helps.",
        "schema": {"type": "string", "pattern": "^[0-9]+$"},
    },
    "ETag": {
        "description": "The present version of the record.",
        "required": True,
        "schema": {"type": "string", "pattern": '^"[1-9][0-9]*"$'},
    },
}
PARAMETERS: Document = {
    "X-Request-ID": {
        "name": "X-Request-ID",
        "in": "header",
        "description": "An id for the request; one that is not `[A-Za-z0-9._-]{1,64}` is replaced.",
        "schema": {"type": "string", "examples": ["my-request-7"]},
    },
    "If-None-Match": {
        "name": "If-None-Match",
        "in": "header",
        "description": "Answer 304 where the record still has one of these entity tags.",
        "schema": {"type": "string", "examples": ['"3"']},
    },
}


def header_references(names: Collection[str]) -> Document:
    """Return headers by reference to those of all operations."""
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}
