"""The parts of the contract that are in no schema file: media types, headers, errors."""

from collections.abc import Mapping
from typing import Any

Document = dict[str, Any]

JSON = "application/json"
PROBLEM = "application/problem+json"
REQUEST_ID = "X-Request-ID"

# By status: the name of the component, when it is answered, and the headers beside the request id.
ERRORS: Mapping[int, tuple[str, str, tuple[str, ...]]] = {
    400: ("MalformedBody", "The body is not well-formed JSON.", ()),
    401: ("WrongKey", "The key is missing or wrong.", ("WWW-Authenticate",)),
    404: ("RecordNotFound", "There is no such record.", ()),
    408: ("BodyTooSlow", "The body arrived too slowly; the connection closes.", ()),
    409: ("Conflict", "A unique value is taken.", ()),
    412: ("PreconditionFailed", "The record has changed since it was read.", ("ETag",)),
    413: ("BodyTooLarge", "The body is larger than the service takes.", ()),
    415: ("InvalidContentType", "The body is of another media type or encoding.", ()),
    422: ("InvalidRequest", "The body or a parameter is not as its schema says.", ()),
    429: ("TooManyRequests", "Too many requests come from this address.", ("Retry-After",)),
    500: ("InternalError", "Something unforeseen; the log has it under the request id.", ()),
    503: ("Unavailable", "The service or its database can't answer now.", ("Retry-After",)),
    504: ("DeadlineExceeded", "The request took too long.", ()),
}
EVERYWHERE = (415, 422, 429, 500, 503, 504)
WITH_BODY = (400, 408, 413)

HEADERS: Document = {
    "X-Request-ID": {
        "description": "The id of the request, as in the log.",
        "required": True,
        "schema": {"type": "string", "pattern": "^[A-Za-z0-9._-]{1,64}$"},
    },
    "WWW-Authenticate": {
        "description": "How to send the key.",
        "required": True,
        "schema": {"type": "string", "const": "Bearer"},
    },
    "Retry-After": {
        "description": "After how many seconds to try again.",
        "required": True,
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
