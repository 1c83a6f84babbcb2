"""Changes of some of a record's columns, by a statement that is the same whichever they are.

Clients choose the columns. A statement for each choice would be compiled, prepared and sent by
itself.
"""

from collections.abc import Collection, Mapping
from functools import cache, lru_cache
from typing import Any

from sqlalchemy import JSON, Boolean, ColumnElement, bindparam, case, func, update

from service.common.database import Base, RecordColumns

# Not the beginning of a column: those that `just blueprint` writes begin with a letter.
GIVEN = "_given_"


@cache
def changeable(model: type[Base]) -> tuple[str, ...]:
    """Return the columns that a change may set: those that are the model's own."""
    keys = [column.key for column in model.__table__.columns]
    return tuple(key for key in keys if key not in vars(RecordColumns))


def complete(
    model: type[Base], names: Collection[str], values: Mapping[str, Any]
) -> dict[str, Any]:
    """Return a value for each parameter of a change. Raises KeyError for another column."""
    if unknown := values.keys() - {*names}:
        raise KeyError(f"no change can set {', '.join(sorted(unknown))}")
    columns = model.__table__.columns
    flags = {GIVEN + name: name in values for name in names if _may_be_null(columns[name])}
    return {name: values.get(name) for name in names} | flags


@lru_cache
def types_of(model: type[Base], names: tuple[str, ...]) -> Mapping[str, Any]:
    """Return the parameters of a change, with their types.

    If NULL may be a new value of a column, it has another parameter: whether it is given.
    """
    columns = model.__table__.columns
    flags = {GIVEN + name: Boolean() for name in names if _may_be_null(columns[name])}
    return {name: columns[name].type for name in names} | flags


def changed(
    model: type[Base], names: Collection[str], given: Mapping[str, Any]
) -> dict[str, ColumnElement[Any]]:
    """Return the new values of columns: those that are `given`, else the present ones."""
    columns = model.__table__.columns
    return {
        name: case((given[GIVEN + name], given[name]), else_=columns[name])
        if _may_be_null(columns[name])
        else func.coalesce(given[name], columns[name])
        for name in names
    }


@cache
def update_one(model: type[Base]) -> Any:
    """Return the statement that changes one record; its parameters are those of `complete`."""
    names = changeable(model)
    given = {
        name: bindparam(f"_{name}", type_=type_) for name, type_ in types_of(model, names).items()
    }
    statement = update(model).values(changed(model, names, given))
    return statement.execution_options(synchronize_session=False)


def _may_be_null(column: Any) -> bool:
    # The driver would send the absence of a JSON value as the JSON value `null`.
    return column.nullable or isinstance(column.type, JSON)
