"""The statements that read a collection of any model."""

from collections.abc import Collection, Sequence
from functools import cache, lru_cache
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    MetaData,
    Select,
    Table,
    TextualSelect,
    bindparam,
    select,
    union_all,
)
from sqlalchemy.ext.asyncio import AsyncSession

from service.common.database import SHAPES, Base, as_text
from service.common.resource.inclusion import record_json
from service.common.resource.indexes import is_indexed, is_unique
from service.common.resource.keyset import (
    Columns,
    Nulls,
    Parameters,
    beyond,
    may_be_null,
    order_by,
    parts,
    start_nulls,
    start_parameters,
    start_values,
    without_null,
)
from service.common.resource.ordering import Key, Order
from service.common.resource.pages import PART, Page, Selection
from service.common.resource.representation import utf8
from service.common.resource.searching import Searching
from service.common.resource.values import Value
from service.common.resource.versions import tagged_version

Conditions = Collection[ColumnElement[bool]]
# The common table expression with the records of a page that is read in parts. No blueprint, and so
# no included table, has such a name.
PARTS_NAME = "_parts"
# The number of records to read.
WANTED = bindparam("wanted", type_=BigInteger)


def record_columns(
    model: Any, fields: tuple[str, ...] | None = None, include: tuple[str, ...] = ()
) -> list[ColumnElement[Any]]:
    """Return the expressions of a `Record` with these fields (None: all) and included records."""
    fields = model.fields() if fields is None else fields
    return [model.__table__.columns.id, tagged_version(model), _json(model, fields, include)]


# Cached, because building it takes longer than all the rest of a statement; bounded, because
# clients choose the fields.
@lru_cache(SHAPES)
def _json(
    model: type[Base], fields: tuple[str, ...], include: tuple[str, ...], *, of_parts: bool = False
) -> ColumnElement[Any]:
    columns = _parts(model).columns if of_parts else model.__table__.columns
    return utf8(record_json(model, columns, fields, include)).label("json")


def is_costly(
    model: type[Base], selection: Selection, search: Searching | None, *, in_parts: bool
) -> bool:
    """Return whether PostgreSQL may have to read every record to find the first.

    With `in_parts`, records with NULL in the first key are read apart from the others.

    No index serves some searches, most orders of several columns, an order of records that are
    filtered by another column, or searches in later pages in the order of a column that may be
    NULL.
    """
    order, start = reading(model, selection)
    equal = [name for name, _ in selection.filters if name != PART]
    texts = [text for name, text in selection.filters if name == PART]
    is_served = _is_served(model, order, from_start=start is None, in_parts=in_parts)
    is_found = any(is_unique(model, name) for name in equal) or (
        is_served and {key.name for key in order[: len(equal)]} >= {*equal}
    )
    return not is_found or any(search is not None and search.is_costly(text) for text in texts)


def reading(model: type[Base], selection: Selection) -> tuple[Order, Sequence[Value] | None]:
    """Return the order to read a page in, and the keys after which it begins.

    The columns of equality filters come first, if an index has this order.
    """
    equal = tuple(name for name, _ in selection.filters if name != PART)
    order, start = _filters_first(model, equal, selection.read_order), selection.start
    if start is not None:
        keys = zip([key.name for key in selection.read_order], start, strict=True)
        values = {**dict(selection.filters), **dict(keys)}
        start = tuple(values[key.name] for key in order)
    return order, start


@lru_cache(SHAPES)
def _filters_first(model: type[Base], equal: tuple[str, ...], order: Order) -> Order:
    if any(is_unique(model, name) for name in equal):
        return order
    first = [Key(name, order[-1].descending, never_null=True) for name in equal]
    led = (*first, *(key for key in order if key.name not in equal))
    return led if is_indexed(model, led) else order


def equals(model: type[Base], name: str, value: Any) -> ColumnElement[bool]:
    """Return the condition that a column has a value.

    Unless it is unique, it is a range: PostgreSQL drops a column that is equal to a constant from
    the order, and may then read the whole table in an order that has these records last.
    """
    column: Any = model.__table__.columns[name]
    condition: ColumnElement[bool] = (
        column == value if is_unique(model, name) else column.between(value, value)
    )
    return condition


def _is_served(model: type[Base], order: Order, *, from_start: bool, in_parts: bool) -> bool:
    """Return whether an index leads to a page, in parts if the order may have NULL."""
    columns = model.__table__.columns
    if from_start and is_indexed(model, order):
        return True
    known = without_null(columns, order) if in_parts else order
    return is_indexed(model, known) and not any(
        may_be_null(columns[key.name], key) for key in known
    )


async def select_page(session: AsyncSession, model: type[Base], selection: Selection) -> Page:
    """Return the page of a selection without a search."""
    order, start = reading(model, selection)
    values = {f"equal_{name}": value for name, value in selection.filters} | start_values(start)
    values["wanted"] = selection.wanted
    statement = _page(model, selection.without_values(), order, start_nulls(start))
    rows = await session.execute(statement, values)
    return selection.page(rows.all())


# Cached, because building a statement takes longer than a look-up.
@lru_cache(SHAPES)
def _page(model: type[Base], selection: Selection, order: Order, nulls: Nulls) -> TextualSelect:
    """Return the statement of a page that is read in an order, with values as parameters."""
    columns = model.__table__.columns
    start = start_parameters(columns, order, nulls)
    conditions = [
        equals(model, name, bindparam(f"equal_{name}", type_=columns[name].type))
        for name, _ in selection.filters
    ]
    known = without_null(columns, order)
    if (
        known != order
        and is_indexed(model, known)
        and (start is not None or not is_indexed(model, order))
    ):
        return as_text(_page_of_parts(model, selection, order, start, conditions))
    record = _json(model, selection.fields, selection.include)
    keys = [columns[key.name] for key in selection.order]
    statement = select(record, *keys).where(*conditions).limit(WANTED)
    return as_text(_from_start(statement, columns, order, start))


def _page_of_parts(
    model: type[Base],
    selection: Selection,
    order: Order,
    start: Parameters | None,
    conditions: Conditions,
) -> Select[Any]:
    """Return the statement of a page that reads the records with NULL apart from the others.

    PostgreSQL finds no place in an index by a condition on both, and an index has NULL at one end.
    """
    table = model.__table__
    known = without_null(table.columns, order)
    halves = [
        select(table)
        .where(*conditions, *part)
        .order_by(*order_by(table.columns, known))
        .limit(WANTED)
        for part in parts(table.columns, order, start)
    ]
    columns = _parts(model).columns
    record = _json(model, selection.fields, selection.include, of_parts=True)
    keys = [columns[key.name] for key in selection.order]
    statement = select(record, *keys).order_by(*order_by(columns, order)).limit(WANTED)
    return statement.add_cte(union_all(*halves).cte(PARTS_NAME))


@cache
def _parts(model: type[Base]) -> Table:
    """Return the common table expression PARTS_NAME as a table.

    Expressions of its columns can then be cached.
    """
    columns = model.__table__.columns
    copies = [Column(one.name, one.type, key=one.key, nullable=one.nullable) for one in columns]
    return Table(PARTS_NAME, MetaData(), *copies)


def in_order(statement: Select[Any], model: type[Base], selection: Selection) -> Select[Any]:
    """Return a statement that reads the records of a selection in its order, from its cursor."""
    columns = model.__table__.columns
    order, start = reading(model, selection)
    given = start_parameters(columns, order, start_nulls(start))
    return _from_start(statement, columns, order, given).params(start_values(start))


def _from_start(
    statement: Select[Any], columns: Columns, order: Order, start: Parameters | None
) -> Select[Any]:
    if start is not None:
        statement = statement.where(beyond(columns, order, start))
    return statement.order_by(*order_by(columns, order))
