"""The parts of the contract that are in no schema file: media types, headers, where errors are."""

from collections.abc import Collection
from typing import Any

Document = dict[str, Any]

JSON = "application/json"
REQUEST_ID = "X-Request-ID"

FIRST_ERROR = 400
# What the proxy or the server answers without the application has one form, the envelope.
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
        "description": "Whether a private cache may store the response, to revalidate it, or none.",
        "schema": {"type": "string", "enum": ["private, no-cache", "no-store"]},
    },
    "WWW-Authenticate": {
        "description": "How to send the key.",
        "required": True,
        "schema": {"type": "string", "const": "Bearer"},
    },
    "Retry-After": {
        "description": "The number of seconds to wait before trying again.",
        "schema": {"type": "string", "pattern": "^[0-9]+$"},
    },
    "ETag": {
        "description": "The current version of the record.",
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
        "description": "Answer 304 if the record still has one of these entity tags.",
        "schema": {"type": "string", "examples": ['"3"']},
    },
}


def header_references(names: Collection[str]) -> Document:
    """Return headers by reference to those of all operations."""
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def json_content(title: str) -> Document:
    """Return a body with this schema."""
    return {JSON: {"schema": {"$ref": f"#/components/schemas/{title}"}}}
