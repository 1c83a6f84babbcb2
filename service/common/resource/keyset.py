"""Keyset pagination in SQL: the records after a given one, which may be deleted meanwhile."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import BindParameter, ColumnElement, and_, bindparam, false, or_, tuple_
from sqlalchemy.sql.base import ReadOnlyColumnCollection

from service.common.resource.ordering import Key, Order

# The columns of a table or of a subquery, by name.
Columns = ReadOnlyColumnCollection[str, Any]
# The keys of the record that a page begins after, if any.
Start = Sequence[Any] | None
# Which of them are NULL. Statements are cached by it: the others are parameters.
Nulls = tuple[bool, ...] | None
Parameters = Sequence[BindParameter[Any] | None]


def order_by(columns: Columns, order: Order) -> list[ColumnElement[Any]]:
    """Return the terms of ORDER BY."""
    return [_term(columns[key.name], key) for key in order]


def may_be_null(column: Any, key: Key) -> bool:
    """Return whether some of the records that are read may have NULL in a column."""
    return bool(column.nullable) and not key.never_null


def without_null(columns: Columns, order: Order) -> Order:
    """Return the order of the records that have a value in each key.

    It is the given order if no key may be NULL, or one besides the first: the order then mixes
    records with and without NULL.
    """
    return (replace(order[0], never_null=True), *order[1:]) if _is_apart(columns, order) else order


def start_nulls(start: Start) -> Nulls:
    """Return which keys are NULL."""
    return None if start is None else tuple(value is None for value in start)


def start_values(start: Start) -> dict[str, Any]:
    """Return the values of the parameters."""
    return {f"start_{at}": value for at, value in enumerate(start or ()) if value is not None}


def start_parameters(columns: Columns, order: Order, nulls: Nulls) -> Parameters | None:
    """Return the parameters of the keys that a page begins after; None is NULL."""
    if nulls is None:
        return None
    return [
        None if is_null else bindparam(f"start_{at}", type_=columns[key.name].type)
        for at, (key, is_null) in enumerate(zip(order, nulls, strict=True))
    ]


def parts(
    columns: Columns, order: Order, values: Parameters | None
) -> list[list[ColumnElement[bool]]]:
    """Return the conditions of the records with NULL in the first key, and of the others.

    With `values`, only of records after the one with these: of one part, or of both. Each part is
    in the order `without_null`, and one range of an index that has this order.
    """
    key, rest = order[0], order[1:]
    column = columns[key.name]
    without, having = [column.is_(None)], [column.is_not(None)]
    if values is None:
        return [without, having]
    if values[0] is None:
        without.append(beyond(columns, rest, values[1:]))
        return [without, having] if key.nulls_first else [without]
    having.append(beyond(columns, without_null(columns, order), values))
    return [having] if key.nulls_first else [without, having]


def _is_apart(columns: Columns, order: Order) -> bool:
    """Return whether the order has the records with NULL before, or after, all others."""
    return [key for key in order if may_be_null(columns[key.name], key)] == [order[0]]


def _term(column: Any, key: Key) -> ColumnElement[Any]:
    term: ColumnElement[Any] = column.desc() if key.descending else column.asc()
    # PostgreSQL's default is that NULL is larger than any value.
    if may_be_null(column, key) and key.nulls_first != key.descending:
        return term.nulls_first() if key.nulls_first else term.nulls_last()
    return term


def beyond(named: Columns, order: Order, values: Parameters) -> ColumnElement[bool]:
    """Return the condition that a record comes after the one with these values."""
    columns = [named[key.name] for key in order]
    is_uniform = len({key.descending for key in order}) == 1
    if is_uniform and not any(map(may_be_null, columns, order)):
        # One row comparison, which is one range of an index.
        left, right = tuple_(*columns), tuple_(*values)
        return left < right if order[0].descending else left > right
    *before, last = zip(columns, order, values, strict=True)
    after = _further(*last)
    for column, key, value in reversed(before):
        after = or_(_further(column, key, value), and_(_equal(column, value), after))
    # The first condition is redundant, but it gives an index a start.
    return and_(_not_before(*(before or [last])[0]), after)


def _further(column: Any, key: Key, value: Any) -> ColumnElement[bool]:
    if value is None:
        return column.is_not(None) if key.nulls_first else false()
    further: ColumnElement[bool] = column < value if key.descending else column > value
    has_null_after = may_be_null(column, key) and not key.nulls_first
    return or_(further, column.is_(None)) if has_null_after else further


def _equal(column: Any, value: Any) -> ColumnElement[bool]:
    equal: ColumnElement[bool] = column.is_(None) if value is None else column == value
    return equal


def _not_before(column: Any, key: Key, value: Any) -> ColumnElement[bool]:
    if may_be_null(column, key):
        return or_(_equal(column, value), _further(column, key, value))
    condition: ColumnElement[bool] = column <= value if key.descending else column >= value
    return condition
