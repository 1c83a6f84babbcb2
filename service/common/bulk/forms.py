"""A record as a line of text, written by PostgreSQL."""

from collections.abc import AsyncIterator, Sequence
from typing import Any, Protocol

from sqlalchemy import Select, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from service import limits
from service.common.bulk.content import NDJSON
from service.common.database import make_costly
from service.common.errors import Fault, InvalidAPIRequest
from service.common.resource import (
    Expression,
    ListQuery,
    Resource,
    Selection,
    in_order,
    json_object,
    literal_text,
    order_by,
    reading,
    utf8,
)

# A name that no field has.
LINE = "_line"
ROWS = "_rows"
# The number of lines that are fetched together, unless the records may be large.
FETCHED_RECORDS = 1000


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


def stream_records(
    session: AsyncSession, resource: Resource[Any], query: ListQuery, form: LineForm
) -> AsyncIterator[bytes]:
    """Yield the lines of every record, or of `limit` records, many at a time.

    Raises InvalidAPIRequest (422) like `Resource.page`, and if the query includes other records,
    before iteration.
    """
    if query.include:
        sentence = "An export has no included records: leave out 'include', or accept JSON"
        raise InvalidAPIRequest(status_code=422, faults=[Fault("/include", "not", sentence)])
    limit = query.limit if "limit" in query.model_fields_set else None
    selection = resource.selection(query, limit)
    page = query.page_records()
    together = page if page < limits.PAGE_RECORDS.value else FETCHED_RECORDS
    return _stream(session, resource, selection, form, together)


async def _stream(
    session: AsyncSession,
    resource: Resource[Any],
    selection: Selection,
    form: LineForm,
    together: int,
) -> AsyncIterator[bytes]:
    model = resource.model
    if resource.is_costly(selection, in_parts=False):
        make_costly(session)
    # First, because most exports of a client with many are refused here, or end while they wait.
    connection = await session.connection()
    conditions = await resource.conditions(session, selection.filters)
    columns = model.__table__.columns
    # It includes the columns of filters: in another order, PostgreSQL would sort the lines again.
    order, _ = reading(model, selection)
    if selection.backward:
        order = tuple(key.reversed() for key in order)
    names = dict.fromkeys([*selection.fields, *(key.name for key in order)])
    found = select(*(columns[name] for name in names))
    found = in_order(found, model, selection).where(*conditions).limit(selection.limit)
    # Records are sorted before they become lines, which are larger: PostgreSQL does not combine
    # the statement with one that has an offset.
    rows = found.offset(0).subquery(ROWS)
    line = utf8(form.line([rows.c[name] for name in selection.fields])).label(LINE)
    found = select(line).select_from(rows).order_by(*order_by(rows.c, order))
    async for lines in stream_lines(connection, found, form.head(selection.fields), together):
        yield lines


async def stream_lines(
    connection: AsyncConnection, statement: Select[Any], head: str, together: int
) -> AsyncIterator[bytes]:
    """Yield the lines of a statement, `together` at a time, from a server-side cursor.

    A session would inspect every row for models.
    """
    result = await connection.stream(statement, execution_options={"yield_per": together})
    async for lines in result.scalars().partitions():
        yield head.encode() + b"".join(lines)
        head = ""
    if head:
        yield head.encode()
