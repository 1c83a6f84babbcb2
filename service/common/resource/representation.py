"""The representation of a record, written by PostgreSQL in a fraction of the time of Python."""

from collections.abc import Sequence
from functools import reduce
from typing import Any

from sqlalchemy import ColumnElement, DateTime, Integer, Text, cast, func, literal

# The format of datetimes on the wire.
INSTANT = 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'

Expression = ColumnElement[str]


def json_object(columns: Sequence[Any]) -> Expression:
    """Return the expression of a record's JSON object, with its fields in their order."""
    parts: list[Expression] = []
    for column in columns:
        parts += [literal_text(f'{"," if parts else "{"}"{column.key}":'), _json(column)]
    return join([*parts, literal_text("}" if parts else "{}")])


def _json(column: Any) -> Expression:
    if isinstance(column.type, DateTime):
        text: Expression = literal_text('"') + instant(column) + literal_text('"')
    elif isinstance(column.type, Integer):
        text = cast(column, Text)
    else:
        text = cast(func.to_json(column), Text)
    return func.coalesce(text, "null") if column.nullable else text


def instant(column: Any) -> Expression:
    """Return the text of a column of datetimes, in UTC."""
    return func.to_char(func.timezone("UTC", column), INSTANT)


def literal_text(text: str) -> Expression:
    """Return the expression of a constant text."""
    return literal(text, Text)


def join(parts: Sequence[Expression]) -> Expression:
    """Return the concatenation of the parts."""
    return reduce(lambda line, part: line + part, parts)
