"""A record as a line of text, written by PostgreSQL: NDJSON or CSV (RFC 4180)."""

from collections.abc import AsyncIterator, Sequence
from typing import Any, Protocol

from sqlalchemy import JSON, Select, String, case, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from service.common.bulk.content import CSV, NDJSON
from service.common.errors import Fault, InvalidAPIRequest
from service.common.resource import (
    Expression,
    ListQuery,
    Resource,
    Selection,
    in_order,
    join,
    json_object,
    literal_text,
    order_by,
    plain_text,
)

# The number of lines that are fetched together.
FETCHED_RECORDS = 1000
# The beginning of a cell that a spreadsheet executes (OWASP, "CSV Injection"), also full-width.
FORMULA = "^[=+\\-@\t\r\n\uff1d\uff0b\uff0d\uff20]"
BYTE_ORDER_MARK = "\ufeff"


class LineForm(Protocol):
    """A format of records as lines."""

    media_type: str

    def head(self, names: Sequence[str]) -> str:
        """Return the text before the first record."""

    def line(self, columns: Sequence[Any]) -> Expression:
        """Return the expression of a record's line, including its end."""


class Ndjson:
    """One JSON object per line (ndjson.org), the same as in a page."""

    media_type = NDJSON

    def head(self, names: Sequence[str]) -> str:
        """Return nothing: each line has the names."""
        del names
        return ""

    def line(self, columns: Sequence[Any]) -> Expression:
        """Return an object and a line feed."""
        return json_object(columns) + literal_text("\n")


class Csv:
    """Comma-separated values (RFC 4180), each text in quotation marks.

    `escape_formulas` is for spreadsheets: a byte order mark, without which Excel does not read
    UTF-8, and an apostrophe before a cell that a spreadsheet would execute. The latter can't be
    reversed, because a value may begin with an apostrophe.
    """

    media_type = f"{CSV}; charset=utf-8"

    def __init__(self, *, escape_formulas: bool = False) -> None:
        self._escape_formulas = escape_formulas

    def head(self, names: Sequence[str]) -> str:
        """Return the header line."""
        mark = BYTE_ORDER_MARK if self._escape_formulas else ""
        return mark + ",".join(names) + "\r\n"

    def line(self, columns: Sequence[Any]) -> Expression:
        """Return the cells and the line end."""
        parts: list[Expression] = []
        for column in columns:
            parts += [*([literal_text(",")] if parts else []), self._cell(column)]
        return join([*parts, literal_text("\r\n")])

    def _cell(self, column: Any) -> Expression:
        text: Expression = plain_text(column)
        if isinstance(column.type, String | JSON):
            if self._escape_formulas:
                text = case((text.regexp_match(FORMULA), literal_text("'") + text), else_=text)
            text = literal_text('"') + func.replace(text, '"', '""') + literal_text('"')
        return func.coalesce(text, "") if column.nullable else text


def stream_records(
    session: AsyncSession, resource: Resource[Any], query: ListQuery, form: LineForm
) -> AsyncIterator[str]:
    """Yield the lines of every record, or of `limit` records, many at a time.

    Raises InvalidAPIRequest (422) like `Resource.page`, and if the query includes other records,
    before iteration.
    """
    if query.include:
        sentence = "An export has no included records: leave out 'include', or accept JSON"
        raise InvalidAPIRequest(status_code=422, faults=[Fault("/include", "not", sentence)])
    limit = query.limit if "limit" in query.model_fields_set else None
    return _stream(session, resource, resource.selection(query, limit), form)


async def _stream(
    session: AsyncSession, resource: Resource[Any], selection: Selection, form: LineForm
) -> AsyncIterator[str]:
    model = resource.model
    conditions = await resource.conditions(session, selection.filters)
    columns = model.__table__.columns
    found = select(form.line([columns[name] for name in selection.fields]).label("line"))
    if selection.backward:
        found = found.add_columns(*(columns[key.name] for key in selection.order))
    found = in_order(found, model, selection).where(*conditions).limit(selection.limit)
    if selection.backward:
        rows = found.subquery()
        found = select(rows.c.line).order_by(*order_by(rows.c, selection.order))
    async for lines in stream_lines(session, found, form.head(selection.fields)):
        yield lines


async def stream_lines(
    session: AsyncSession, statement: Select[Any], head: str
) -> AsyncIterator[str]:
    """Yield the lines of a statement, many at a time, from a server-side cursor."""
    # Not by the session, which would inspect every row for models.
    connection = await session.connection()
    result = await connection.stream(statement, execution_options={"yield_per": FETCHED_RECORDS})
    async for lines in result.scalars().partitions():
        yield head + "".join(lines)
        head = ""
    if head:
        yield head
