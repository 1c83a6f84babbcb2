"""The statements that read a collection, of whatever model: a page of it, or all of it as lines."""

from collections.abc import AsyncIterator, Collection
from functools import cache, lru_cache
from typing import Any

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    PrimaryKeyConstraint,
    Select,
    UniqueConstraint,
    all_,
    any_,
    false,
    literal,
    select,
)
from sqlalchemy.ext.asyncio import AsyncSession

from service.common.entity_tags import Versions
from service.common.exports.backend import LineForm, json_object, stream_lines
from service.common.keyset import beyond, order_by
from service.common.models import Base
from service.common.ordering import Order
from service.common.pages import Page, Selection
from service.common.search.trigrams import has_trigrams

Conditions = Collection[ColumnElement[bool]]


@cache
def record_columns(model: Any, fields: tuple[str, ...] | None = None) -> list[ColumnElement[Any]]:
    """Return the expressions of a `Record` that has these fields (None: all)."""
    columns = model.__table__.columns
    record = json_object([columns[name] for name in fields or model.fields()])
    return [columns.id, columns.version, record.label("json")]


def of_versions(model: Any, versions: Versions | None) -> list[ColumnElement[bool]]:
    """Return the conditions that a record has one of `versions` (None: any)."""
    if versions is None:
        return []
    version, conditions = model.__table__.columns.version, []
    # An array is one parameter, so the statement is the same for any number of values; with `IN` it
    # is not.
    if versions.accepted is not None:
        conditions.append(version == any_(_array(version, versions.accepted)))
    if versions.refused is None:
        conditions.append(false())
    elif versions.refused:
        conditions.append(version != all_(_array(version, versions.refused)))
    return conditions


def _array(column: Any, values: Collection[Any]) -> ColumnElement[Any]:
    return literal([*values], ARRAY(column.type))


def is_costly(model: type[Base], selection: Selection) -> bool:
    """Return whether PostgreSQL may have to read every record to find a page.

    No index serves a text without a trigram, nor most orders of several columns.
    """
    parts = [text for name, text in selection.filters if name == "q"]
    return not (all(map(has_trigrams, parts)) and is_indexed(model, selection.order))


@cache
def is_indexed(model: type[Base], order: Order) -> bool:
    """Return whether an index has this order, so that the next record is found at once."""
    table: Any = model.__table__
    trees = [one for one in table.indexes if not one.dialect_options["postgresql"]["using"]]
    kinds = PrimaryKeyConstraint | UniqueConstraint
    unique = [one for one in table.constraints if isinstance(one, kinds)]
    names = [key.name for key in order]
    return len({key.descending for key in order}) == 1 and any(
        [column.name for column in one.columns][: len(names)] == names for one in [*trees, *unique]
    )


async def select_page(
    session: AsyncSession, model: type[Base], selection: Selection, conditions: Conditions
) -> Page:
    """Return the page that a selection names."""
    statement = _page(model, selection)
    if conditions:
        statement = statement.where(*conditions)
    rows = await session.execute(statement)
    return selection.page(rows.all())


async def stream_selection(
    session: AsyncSession,
    model: type[Base],
    selection: Selection,
    conditions: Conditions,
    form: LineForm,
) -> AsyncIterator[str]:
    """Yield the lines of a selection in its order, many at a time."""
    columns = model.__table__.columns
    found = select(form.line([columns[name] for name in selection.fields]).label("line"))
    if selection.backward:
        found = found.add_columns(*(columns[key.name] for key in selection.order))
    found = _in_order(found, columns, selection).where(*conditions).limit(selection.limit)
    if selection.backward:
        rows = found.subquery()
        found = select(rows.c.line).order_by(*order_by(rows.c, selection.order))
    async for lines in stream_lines(session, found, form.head(selection.fields)):
        yield lines


# A statement takes longer to put together than to look up.
@lru_cache
def _page(model: type[Base], selection: Selection) -> Select[Any]:
    columns = model.__table__.columns
    record = json_object([columns[name] for name in selection.fields]).label("record")
    keys = [columns[key.name] for key in selection.order]
    # One more than fits tells whether there are more.
    limit = None if selection.limit is None else selection.limit + 1
    return _in_order(select(record, *keys), columns, selection).limit(limit)


def _in_order(statement: Select[Any], columns: Any, selection: Selection) -> Select[Any]:
    if selection.beyond is not None:
        statement = statement.where(beyond(columns, selection.way, selection.beyond))
    return statement.order_by(*order_by(columns, selection.way))
