"""Cursors: the end of a page of a collection, as an opaque text.

A cursor is valid only with the order and the filters that it was created with. It needs no
signature: a forged cursor shows nothing that a filter could not show.
"""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from service.common.errors import Fault, InvalidAPIRequest, quote
from service.common.resource.ordering import Order
from service.common.resource.values import Value, canonical, from_plain, to_plain

SCOPE_DIGITS = 16

# Names and values. Hashable, not a mapping: equal requests share a statement.
Filters = tuple[tuple[str, Any], ...]


@dataclass(frozen=True, slots=True)
class Cursor:
    """The values of a record's keys; the page is after it, or before it if `backward`."""

    values: tuple[Value, ...]
    backward: bool = False


def scope_of(order: Order, filters: Filters) -> str:
    """Return a hash of an order and filters."""
    # Requests whose filters are equal may share a page.
    plain = sorted((name, canonical(value)) for name, value in filters)
    facts = [[(key.name, key.descending) for key in order], plain]
    return sha256(json.dumps(facts).encode()).hexdigest()[:SCOPE_DIGITS]


def encode_cursor(cursor: Cursor, scope: str) -> str:
    """Return the text of a cursor."""
    facts = [scope, [to_plain(value) for value in cursor.values], int(cursor.backward)]
    text = json.dumps(facts, ensure_ascii=False, separators=(",", ":"))
    return urlsafe_b64encode(text.encode()).decode().rstrip("=")


def decode_cursor(text: str, scope: str, columns: Sequence[Any]) -> Cursor:
    """Return the cursor, whose values are those of these columns.

    Raises InvalidAPIRequest (422) if it is not exactly one that was encoded with `scope`.
    """
    try:
        _, values, backward = json.loads(urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        pairs = zip(values, columns, strict=True)
        cursor = Cursor(tuple(from_plain(value, column) for value, column in pairs), bool(backward))
        if encode_cursor(cursor, scope) == text:
            return cursor
    except (ValueError, TypeError, RecursionError):
        pass  # Any malformed cursor gets the same error.
    sentence = (
        f"{quote(text)} is not a cursor of this collection, in this order, with these filters"
    )
    raise InvalidAPIRequest(status_code=422, faults=[Fault("/after", "format", sentence)])
