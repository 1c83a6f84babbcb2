"""The representation of a record, written by PostgreSQL in a fraction of the time of Python."""

from collections.abc import Mapping, Sequence
from functools import reduce
from types import MappingProxyType
from typing import Any

from sqlalchemy import (
    JSON,
    ColumnElement,
    Date,
    DateTime,
    Float,
    Numeric,
    String,
    Text,
    Uuid,
    cast,
    func,
    literal,
)

# The formats of datetimes, in UTC, and dates on the wire.
INSTANT = 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'
DAY = "YYYY-MM-DD"

Expression = ColumnElement[str]
NOTHING: Mapping[str, Expression] = MappingProxyType({})


def json_object(columns: Sequence[Any], more: Mapping[str, Expression] = NOTHING) -> Expression:
    """Return the expression of a JSON object: columns in their order, then `more` JSON by name."""
    parts: list[Expression] = []
    for name, text in [*((column.key, _json(column)) for column in columns), *more.items()]:
        parts += [literal_text(f'{"," if parts else "{"}"{name}":'), text]
    return join([*parts, literal_text("}" if parts else "{}")])


def _json(column: Any) -> Expression:
    if isinstance(column.type, String | Float):
        # Escaped, or with the digits that JSON needs.
        text: Expression = cast(func.to_json(column), Text)
    elif isinstance(column.type, DateTime | Date | Numeric | Uuid):
        # Numbers with an exact scale are strings: many parsers would round them.
        text = literal_text('"') + plain_text(column) + literal_text('"')
    else:
        text = plain_text(column)
    return func.coalesce(text, "null") if column.nullable else text


def plain_text(column: Any) -> Expression:
    """Return the text of a column, without quotation marks, whatever the settings of the server."""
    if isinstance(column.type, DateTime):
        return func.to_char(func.timezone("UTC", column), INSTANT)
    if isinstance(column.type, Date):
        return func.to_char(column, DAY)
    if isinstance(column.type, Float | JSON):
        return cast(func.to_json(column), Text)
    return cast(column, Text)


def literal_text(text: str) -> Expression:
    """Return the expression of a constant text."""
    return literal(text, Text)


def utf8(text: Expression) -> ColumnElement[bytes]:
    """Return the expression of a text's bytes in UTF-8.

    A `str` with a character beyond U+FFFF takes four bytes for each of its characters (PEP 393).
    """
    return func.convert_to(text, literal_text("UTF8"))


def join(parts: Sequence[Expression]) -> Expression:
    """Return the concatenation of the parts."""
    return reduce(lambda line, part: line + part, parts)
