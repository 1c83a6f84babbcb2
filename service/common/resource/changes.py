"""Changes of some of a record's columns, by a statement that is the same whichever they are.

Clients choose the columns. A statement for each choice would be compiled, prepared and sent by
itself.
"""

from collections.abc import Mapping
from functools import cache
from typing import Any

from sqlalchemy import ARRAY, Boolean, ColumnElement, bindparam, case, update

from service.common.database import Base, RecordColumns

# The beginning of the parameter that says whether a column is given: its value may be NULL. Columns
# that `just blueprint` writes begin with a letter.
GIVEN = "_given_"


@cache
def changeable(model: type[Base]) -> frozenset[str]:
    """Return the columns that such a change may set: the model's own, which clients can set.

    An array can't be one of many in a batch, which is a list of arrays itself.
    """
    return frozenset(
        column.key
        for column in model.__table__.columns
        if column.key not in vars(RecordColumns)
        and not (column.computed or column.identity or column.onupdate)
        and not isinstance(column.type, ARRAY)
    )


@cache
def types_of(model: type[Base], names: frozenset[str]) -> Mapping[str, Any]:
    """Return the parameters of a change of any of the columns, with their types."""
    columns = model.__table__.columns
    return {name: columns[name].type for name in sorted(names)} | {
        GIVEN + name: Boolean() for name in sorted(names)
    }


def complete(names: frozenset[str], values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of all parameters."""
    return {name: values.get(name) for name in names} | {
        GIVEN + name: name in values for name in names
    }


def changed(
    model: type[Base], names: frozenset[str], given: Mapping[str, Any]
) -> dict[str, ColumnElement[Any]]:
    """Return the new values of the columns: those that are `given`, else the present ones."""
    columns = model.__table__.columns
    return {
        name: case((given[GIVEN + name], given[name]), else_=columns[name])
        for name in sorted(names)
    }


def change_of(model: type[Base], id: int, values: Mapping[str, Any]) -> tuple[Any, dict[str, Any]]:
    """Return the statement that changes a record, and its parameters."""
    names = changeable(model)
    if values.keys() <= names:
        values = {"id": id} | complete(names, values)
        return _change(model), {f"_{name}": value for name, value in values.items()}
    key = model.__table__.columns.id
    statement = update(model).where(key == id).values(**values)
    return statement.execution_options(synchronize_session=False), {}


@cache
def _change(model: type[Base]) -> Any:
    names, key = changeable(model), model.__table__.columns.id
    types = types_of(model, names)
    given = {name: bindparam(f"_{name}", type_=type_) for name, type_ in types.items()}
    statement = update(model).where(key == bindparam("_id", type_=key.type))
    statement = statement.values(changed(model, names, given))
    return statement.execution_options(synchronize_session=False)
