"""The statements that read a collection, of whatever model: a page of it, or all of it as lines."""

from collections.abc import AsyncIterator, Collection, Sequence
from functools import cache
from typing import Any

from sqlalchemy import ColumnElement, Select, select
from sqlalchemy.ext.asyncio import AsyncSession

from service.common.exports.backend import LineForm, json_object, stream_lines
from service.common.keyset import beyond, order_by
from service.common.models import Base
from service.common.ordering import Order
from service.common.pages import Page, Selection

Conditions = Collection[ColumnElement[bool]]


@cache
def record_columns(model: Any, fields: tuple[str, ...] | None = None) -> list[ColumnElement[Any]]:
    """Return the expressions of a `Record` that has these fields (None: all)."""
    columns = model.__table__.columns
    record = json_object([columns[name] for name in fields or model.fields()])
    return [columns.id, columns.version, record.label("json")]


async def select_page(
    session: AsyncSession, model: type[Base], selection: Selection, conditions: Conditions
) -> Page:
    """Return the page that a selection names."""
    # One more than fits tells whether there are more.
    limit = None if selection.limit is None else selection.limit + 1
    rows = _records(model, selection.fields, selection.order)
    rows = _in_order(rows, model, selection, conditions).limit(limit)
    return selection.page((await session.execute(rows)).all())


async def stream_selection(
    session: AsyncSession,
    model: type[Base],
    selection: Selection,
    conditions: Conditions,
    form: LineForm,
) -> AsyncIterator[str]:
    """Yield the lines of a selection in its order, many at a time."""
    line = form.line([getattr(model, name) for name in selection.fields]).label("line")
    found = select(line)
    if selection.backward:
        found = found.add_columns(*(getattr(model, key.name) for key in selection.order))
    found = _in_order(found, model, selection, conditions).limit(selection.limit)
    if selection.backward:
        rows = found.subquery()
        found = select(rows.c.line).order_by(*order_by(rows.c, selection.order))
    async for lines in stream_lines(session, found, form.head(selection.fields)):
        yield lines


@cache
def _records(model: type[Base], fields: Sequence[str], order: Order) -> Select[Any]:
    record = json_object([getattr(model, name) for name in fields]).label("record")
    return select(record, *(getattr(model, key.name) for key in order))


def _in_order(
    statement: Select[Any], model: type[Base], selection: Selection, conditions: Conditions
) -> Select[Any]:
    statement = statement.where(*conditions)
    if selection.beyond is not None:
        statement = statement.where(beyond(model, selection.way, selection.beyond))
    return statement.order_by(*order_by(model, selection.way))
