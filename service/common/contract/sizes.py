"""The sizes of records, pages and cursors, by the schemas of records."""

import json
from collections.abc import Iterable, Sequence

from service import limits
from service.common.contract.parts import Document

# The largest number of bytes of a value, written without spaces.
X_MAX_BYTES = "x-max-bytes"
# The records of a page, in the schema of `limit`.
X_PAGE_RECORDS = "x-page-records"
# A control character is escaped, as `\u0001`.
ESCAPED_BYTES = 6
# Numbers, moments, UUIDs and the like.
OTHER_BYTES = 40
# The scope of a cursor, its direction, and the `id` that ends each order.
CURSOR_BYTES = 80
UNLIMITED_TYPES = frozenset({"string", "object", "array"})
FORMATS = frozenset({"date", "date-time", "decimal", "uuid"})


def page_records(record: Document, included: Sequence[Document] = ()) -> int:
    """Return how many records a page may have, by the lengths in the schemas of records."""
    largest = sum(map(_most_bytes_of_record, [record, *included]))
    return max(1, min(limits.PAGE_RECORDS.value, limits.PAGE_BYTES.value // largest))


def _most_bytes_of_record(record: Document) -> int:
    names = sum(len(name) + len('"":,') for name in record["properties"])
    return names + sum(map(_most_bytes, record["properties"].values()))


def _most_bytes(schema: Document) -> int:
    """Return how long a value can be as JSON; without a bound, as long as a body."""
    if X_MAX_BYTES in schema:
        most: int = schema[X_MAX_BYTES]
        return most
    if "enum" in schema:
        return max(len(json.dumps(value)) for value in schema["enum"])
    if "maxLength" in schema:
        return ESCAPED_BYTES * int(schema["maxLength"])
    if isinstance(schema.get("items"), dict) and "maxItems" in schema:
        return int(schema["maxItems"]) * (_most_bytes(schema["items"]) + len(","))
    if schema.get("format") in FORMATS or (
        "type" in schema and not json_types(schema) & UNLIMITED_TYPES
    ):
        return OTHER_BYTES
    return limits.BODY_BYTES.value


def cursor_characters(values: Iterable[Document]) -> int:
    """Return how long a cursor can be: base64 of a scope and of values with these schemas."""
    most = sum(_most_bytes(schema) + len('"",') for schema in values)
    return min(limits.CURSOR_CHARACTERS.value, (CURSOR_BYTES + most) * 4 // 3 + 1)


def json_types(schema: Document) -> frozenset[str]:
    """Return the JSON types of a property: `type` is one or a list."""
    types = schema["type"]
    return frozenset([types] if isinstance(types, str) else types)
