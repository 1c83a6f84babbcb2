"""Cursors: the end of a page of a collection, as an opaque text.

A cursor is valid only with the order and the filters that it was created with. It needs no
signature: a forged cursor shows nothing that a filter could not show.
"""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256

from service.common.contract import UNSTORABLE
from service.common.database import MAX_BIGINT
from service.common.errors import Fault, InvalidAPIRequest, quote
from service.common.resource.ordering import Order

SCOPE_DIGITS = 16

Value = int | str | datetime
# Names and texts. Hashable, not a mapping: equal requests share a statement.
Filters = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Cursor:
    """The values of a record's keys; the page is after it, or before it if `backward`."""

    values: tuple[Value, ...]
    backward: bool = False


def scope_of(order: Order, filters: Filters) -> str:
    """Return a hash of an order and filters."""
    facts = [[(key.name, key.descending) for key in order], sorted(filters)]
    return sha256(json.dumps(facts).encode()).hexdigest()[:SCOPE_DIGITS]


def encode_cursor(cursor: Cursor, scope: str) -> str:
    """Return the text of a cursor."""
    facts = [scope, [_plain(value) for value in cursor.values], int(cursor.backward)]
    text = json.dumps(facts, ensure_ascii=False, separators=(",", ":"))
    return urlsafe_b64encode(text.encode()).decode().rstrip("=")


def decode_cursor(text: str, scope: str, types: Sequence[type[Value]]) -> Cursor:
    """Return the cursor, whose values have these types.

    Raises InvalidAPIRequest (422) if it is not exactly one that was encoded with `scope`.
    """
    try:
        _, values, backward = json.loads(urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        pairs = zip(values, types, strict=True)
        cursor = Cursor(tuple(_value(value, type_) for value, type_ in pairs), bool(backward))
        if encode_cursor(cursor, scope) == text:
            return cursor
    except (ValueError, TypeError, RecursionError):
        pass  # Any malformed cursor gets the same error.
    sentence = (
        f"{quote(text)} is not a cursor of this collection, in this order, with these filters"
    )
    raise InvalidAPIRequest(status_code=422, faults=[Fault("/after", "format", sentence)])


def _value(value: object, type_: type[Value]) -> Value:
    if type_ is datetime and isinstance(value, str):
        return datetime.strptime(value, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC)
    if type_ is str and isinstance(value, str) and not UNSTORABLE.search(value):
        return value
    if type_ is int and type(value) is int and 0 <= value <= MAX_BIGINT:
        return value
    raise ValueError(f"not of type {type_.__name__}")


def _plain(value: Value) -> int | str:
    """Return a moment as `2026-01-02T03:04:05.678901Z`, others as they are."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"
    return value
