"""What the indexes of a model serve: its unique columns, and orders."""

from collections.abc import Mapping
from functools import cache, lru_cache
from typing import Any

from sqlalchemy import PrimaryKeyConstraint, UniqueConstraint

from service.common.database import SHAPES, Base
from service.common.resource.keyset import may_be_null
from service.common.resource.ordering import Order


@cache
def unique_columns(model: type[Base]) -> Mapping[str, str]:
    """Return the unique columns by the names of their constraints."""
    return {str(one.name): one.columns[0].name for one in _unique(model) if len(one.columns) == 1}


def unique_together(model: type[Base]) -> list[tuple[str, ...]]:
    """Return the columns of each unique constraint that has several."""
    return [tuple(one.columns.keys()) for one in _unique(model) if len(one.columns) > 1]


def is_unique(model: type[Base], name: str) -> bool:
    """Return whether a column is unique."""
    return name in unique_columns(model).values()


# Bounded, because clients can send many orders.
@lru_cache(SHAPES)
def is_indexed(model: type[Base], order: Order) -> bool:
    """Return whether an index has this order, so that no sort is needed."""
    table: Any = model.__table__
    trees = [one for one in table.indexes if not one.dialect_options["postgresql"]["using"]]
    names = [key.name for key in order]
    if any(
        may_be_null(table.columns[key.name], key) and key.nulls_first != key.descending
        for key in order
    ):
        return False
    return len({key.descending for key in order}) == 1 and any(
        [column.name for column in one.columns][: len(names)] == names
        for one in [*trees, *_unique(model)]
    )


def _unique(model: type[Base]) -> list[Any]:
    table: Any = model.__table__
    kinds = PrimaryKeyConstraint | UniqueConstraint
    return [one for one in table.constraints if isinstance(one, kinds)]
