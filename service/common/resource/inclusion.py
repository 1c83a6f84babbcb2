"""Included records: what a record refers to, whole, in its representation (`?include=foss`).

PostgreSQL writes them in the statement that reads the record, by a subquery for each.
"""

from collections.abc import Collection, Mapping, Sequence
from functools import cache
from typing import Any

from sqlalchemy import func, literal_column, select

from service.common.database import Base
from service.common.resource.keyset import Columns
from service.common.resource.representation import Expression, json_object, to_sql

END = "_id"


@cache
def references(model: type[Base]) -> Mapping[str, tuple[str, type[Base]]]:
    """Return the columns that refer to another model, and that, by the names of constraints."""
    table: Any = model.__table__
    models = {mapper.local_table: mapper.class_ for mapper in model.registry.mappers}
    return {
        str(key.constraint.name): (key.parent.name, models[key.column.table])
        for key in table.foreign_keys
    }


@cache
def includable(model: type[Base]) -> Mapping[str, tuple[str, type[Base]]]:
    """Return the columns that refer to another model, and that, by their names without `_id`."""
    return {
        column.removesuffix(END): (column, target)
        for column, target in references(model).values()
        if column.endswith(END) and column in model.fields()
    }


def select_included(model: type[Base], names: Collection[str] | None) -> tuple[str, ...]:
    """Return the references to include, each once, in an order that does not depend on `names`.

    Raises ValueError if one is unknown.
    """
    if not names:
        return ()
    known = includable(model)
    if unknown := [name for name in names if name not in known]:
        raise ValueError(
            f"Unknown references: {', '.join(unknown)}. There are: {', '.join(known)}."
        )
    return tuple(name for name in known if name in names)


def record_json(
    model: type[Base], columns: Columns, fields: Sequence[str], include: Sequence[str] = ()
) -> Expression:
    """Return the expression of a record's JSON object; `columns` are those of its row."""
    known = includable(model)
    included = {name: _included(to_sql(columns[known[name][0]]), *known[name]) for name in include}
    return json_object([columns[name] for name in fields], included)


@cache
def _included(reference: str, column: str, target: type[Base]) -> str:
    """Return the SQL of the record that a column refers to, as JSON."""
    # By a name of its own: a record may refer to one of its own table.
    table = target.__table__.alias(f"included_{column}")
    record = json_object([table.c[field] for field in target.fields()])
    found = select(record).select_from(table).where(table.c.id == literal_column(reference))
    return to_sql(func.coalesce(found.scalar_subquery(), "null"))
