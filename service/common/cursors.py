"""Cursors: where a page of a collection ended, as an opaque text."""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode

from service.common.exceptions import Fault, InvalidAPIRequest
from service.common.faults import quote
from service.common.models import MAX_BIGINT


def encode_cursor(id: int) -> str:
    """Return the cursor behind the record `id`."""
    return urlsafe_b64encode(json.dumps({"id": id}).encode()).decode().rstrip("=")


def decode_cursor(cursor: str) -> int:
    """Return the id that a cursor stands for.

    Raises InvalidAPIRequest (422): it is not, to the letter, a cursor that was given out.
    """
    try:
        last: object = json.loads(urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))["id"]
    except (ValueError, TypeError, KeyError, RecursionError):
        last = None
    if type(last) is int and 0 <= last <= MAX_BIGINT and encode_cursor(last) == cursor:
        return last
    fault = Fault("/after", "format", f"{quote(cursor)} is not a cursor of this collection")
    raise InvalidAPIRequest(status_code=422, faults=[fault])
