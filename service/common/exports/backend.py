"""A record as a line of text, written by PostgreSQL: NDJSON, and CSV as RFC 4180 has it.

PostgreSQL makes the text, for that takes a fraction of what Python would.
"""

from collections.abc import AsyncIterator, Sequence
from functools import reduce
from typing import Any, Protocol

from sqlalchemy import (
    ColumnElement,
    DateTime,
    Integer,
    Select,
    String,
    Text,
    case,
    cast,
    func,
    literal,
)
from sqlalchemy.ext.asyncio import AsyncSession

from service.common.contract_parts import CSV, NDJSON

# How many lines come from the database at once.
BATCH = 1000
# How a datetime is written everywhere: see serializers.py.
INSTANT = 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'
# With what a cell begins that a spreadsheet runs (OWASP, "CSV Injection"), full-width forms too.
FORMULA = "^[=+\\-@\t\r\n\uff1d\uff0b\uff0d\uff20]"
BYTE_ORDER_MARK = "\ufeff"

Expression = ColumnElement[str]


class LineForm(Protocol):
    """A way to write records as lines."""

    media_type: str

    def head(self, names: Sequence[str]) -> str:
        """Return what comes before the first record."""

    def line(self, columns: Sequence[Any]) -> Expression:
        """Return the expression of a record's line, with its end."""


class Ndjson:
    """One JSON object a line, as a record is written in a page (ndjson.org)."""

    media_type = NDJSON

    def head(self, names: Sequence[str]) -> str:
        """Return nothing: each line has the names."""
        del names
        return ""

    def line(self, columns: Sequence[Any]) -> Expression:
        """Return an object and a line feed."""
        return json_object(columns) + _text("\n")


class Csv:
    """Comma-separated values, as RFC 4180 has them: each text in quotation marks.

    `escape_formulas` is the form for spreadsheets. It begins with a byte order mark, without which
    Excel takes the text for another encoding than UTF-8, and puts an apostrophe before a cell that
    a spreadsheet would run; what was changed so can't be told from what was like that before.
    """

    media_type = f"{CSV}; charset=utf-8"

    def __init__(self, *, escape_formulas: bool = False) -> None:
        self._escape_formulas = escape_formulas

    def head(self, names: Sequence[str]) -> str:
        """Return the header line."""
        mark = BYTE_ORDER_MARK if self._escape_formulas else ""
        return mark + ",".join(names) + "\r\n"

    def line(self, columns: Sequence[Any]) -> Expression:
        """Return the cells and their end."""
        parts: list[Expression] = []
        for column in columns:
            parts += [*([_text(",")] if parts else []), self._cell(column)]
        return _join([*parts, _text("\r\n")])

    def _cell(self, column: Any) -> Expression:
        text: Expression
        if isinstance(column.type, DateTime):
            text = _instant(column)
        elif isinstance(column.type, String):
            text = column
            if self._escape_formulas:
                text = case((text.regexp_match(FORMULA), _text("'") + text), else_=text)
            text = _text('"') + func.replace(text, '"', '""') + _text('"')
        else:
            text = cast(column, Text)
        return func.coalesce(text, "") if column.nullable else text


def json_object(columns: Sequence[Any]) -> Expression:
    """Return the expression of a record's JSON object, the same text as `serializers` makes."""
    parts: list[Expression] = []
    for column in columns:
        parts += [_text(f'{"," if parts else "{"}"{column.key}":'), _json(column)]
    return _join([*parts, _text("}")])


async def stream_lines(
    session: AsyncSession, statement: Select[Any], head: str
) -> AsyncIterator[str]:
    """Yield the texts of a statement, many at a time, from a cursor of the server."""
    # Not by the session, which would look through every row for models.
    connection = await session.connection()
    result = await connection.stream(statement, execution_options={"yield_per": BATCH})
    async for lines in result.scalars().partitions():
        yield head + "".join(lines)
        head = ""
    if head:
        yield head


def _json(column: Any) -> Expression:
    if isinstance(column.type, DateTime):
        text: Expression = _text('"') + _instant(column) + _text('"')
    elif isinstance(column.type, Integer):
        text = cast(column, Text)
    else:
        text = cast(func.to_json(column), Text)
    return func.coalesce(text, "null") if column.nullable else text


def _instant(column: Any) -> Expression:
    return func.to_char(func.timezone("UTC", column), INSTANT)


def _text(text: str) -> Expression:
    return literal(text, Text)


def _join(parts: Sequence[Expression]) -> Expression:
    return reduce(lambda line, part: line + part, parts)
