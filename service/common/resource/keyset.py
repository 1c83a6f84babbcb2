"""Keyset pagination in SQL: the records after a given one, which may be deleted meanwhile."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, and_, or_, tuple_
from sqlalchemy.sql.base import ReadOnlyColumnCollection

from service.common.resource.ordering import Order

# The columns of a table or of a subquery, by name.
Columns = ReadOnlyColumnCollection[str, Any]


def order_by(columns: Columns, order: Order) -> list[ColumnElement[Any]]:
    """Return the terms of ORDER BY."""
    terms = [(columns[key.name], key.descending) for key in order]
    return [column.desc() if descending else column.asc() for column, descending in terms]


def beyond(named: Columns, order: Order, values: Sequence[Any]) -> ColumnElement[bool]:
    """Return the condition that a record comes after the one with these values."""
    columns = [named[key.name] for key in order]
    if len({key.descending for key in order}) == 1:
        # One row comparison, which is one range of an index.
        left, right = tuple_(*columns), tuple_(*values)
        return left < right if order[0].descending else left > right
    steps = []
    for position, (column, key) in enumerate(zip(columns, order, strict=True)):
        further = column < values[position] if key.descending else column > values[position]
        equal = [columns[before] == values[before] for before in range(position)]
        steps.append(and_(*equal, further))
    first, value = columns[0], values[0]
    # Redundant, but it gives an index a start.
    start = first <= value if order[0].descending else first >= value
    return and_(start, or_(*steps))
