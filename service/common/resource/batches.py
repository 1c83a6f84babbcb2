"""The statements of batches: many records in one statement, none of which fails because of another.

A write skips a record that conflicts, is locked, or refers to one that does not exist; its request
then writes it alone.
"""

from collections.abc import Awaitable, Callable, Collection, Mapping
from functools import cache, lru_cache
from typing import Any

import orjson
from sqlalchemy import ARRAY, ColumnElement, bindparam, column, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from service import limits
from service.common.database import SHAPES, Base, Session, batched_write
from service.common.resource.changes import changed, complete, types_of
from service.common.resource.collection import record_columns
from service.common.resource.inclusion import references
from service.common.resource.records import Record

SHARED_CHARACTERS = limits.SHARED_CHARACTERS.value

Values = Mapping[str, Any]
# The result for a key that may be stored in another form.
CHANGED = object()
RunBatch = Callable[[Session, Any, Values], Awaitable[Record | None]]


def may_share(values: Values) -> bool:
    """Return whether a write is cheap enough to be one of many in a statement."""
    return characters(values) <= SHARED_CHARACTERS


def characters(values: Values) -> int:
    """Return the number of characters of the texts and JSON values of a record."""
    texts = [value for value in values.values() if isinstance(value, str)]
    others = [value for value in values.values() if isinstance(value, dict | list)]
    return sum(map(len, texts)) + sum([len(orjson.dumps(value)) for value in others])


def any_of(attribute: Any) -> ColumnElement[bool]:
    """Return the condition that a column has one of the `keys`, a single array parameter."""
    keys = bindparam("keys", type_=ARRAY(attribute.type))
    condition: ColumnElement[bool] = attribute == func.any(keys)
    return condition


def insert_batch(model: type[Base], unique: str) -> RunBatch:
    """Return `insert(session, key, values)`, batched; the key is the value of the column `unique`.

    It returns the new record, or None if the key is taken, or being taken by another transaction.
    PostgreSQL must store the key as it is given: it finds the record of each call.
    """

    async def insert_many(
        session: AsyncSession, records: Mapping[Any, Values], *names: str
    ) -> dict[Any, Any]:
        found = await session.execute(_insert(model, unique, names), _arrays(records.values()))
        stored = {key: Record(*row) for *row, key in found}
        is_changed = stored.keys() - records.keys()
        return dict.fromkeys(records, CHANGED) | stored if is_changed else stored

    insert_shared = batched_write(insert_many, characters)

    async def insert_one(session: Session, key: Any, values: Values) -> Record | None:
        found = await insert_shared(session, key, values, *values)
        if found is CHANGED:
            raise RuntimeError(f"PostgreSQL has changed a value of `{unique}`: give it as stored.")
        return found

    return insert_one


def update_batch(model: type[Base], names: frozenset[str]) -> RunBatch:
    """Return `update(session, id, values)`, batched, for any of the columns `names`.

    It returns the changed record, or None if it does not exist or is locked. Whatever columns the
    values are for, the statement is the same, so that all of them share it.
    """

    async def update_many(session: AsyncSession, changes: Mapping[int, Values]) -> Any:
        rows = [{"id": key, **complete(names, values)} for key, values in changes.items()]
        found = await session.execute(_update(model, names), _arrays(rows))
        return {row[0]: Record(*row) for row in found}

    return batched_write(update_many, characters)


def _arrays(rows: Collection[Values]) -> dict[str, list[Any]]:
    return {_parameter(name): [values[name] for values in rows] for name in next(iter(rows))}


def _parameter(name: str) -> str:
    """Return the name of a parameter; SQLAlchemy reserves those of columns for its own."""
    return f"_{name}"


def _given(types: Mapping[str, Any]) -> Any:
    """Return the values as a table with one row per record."""
    # One dimension: a JSON value may be a list too.
    arrays = [
        bindparam(_parameter(name), type_=ARRAY(type_, dimensions=1))
        for name, type_ in types.items()
    ]
    columns = [column(name, type_) for name, type_ in types.items()]
    return func.unnest(*arrays).table_valued(*columns).render_derived(name="given")


def _refers(model: type[Base], given: Any) -> list[ColumnElement[bool]]:
    """Return the conditions that what the values refer to exists, and is not locked."""
    conditions = []
    for name, target in references(model).values():
        if name in given.c:
            key = target.__table__.columns.id
            # The lock that the check of the foreign key takes, which would wait.
            there = select(key).where(key == given.c[name]).correlate(given)
            there = there.with_for_update(read=True, key_share=True, skip_locked=True)
            conditions.append(or_(given.c[name].is_(None), there.exists()))
    return conditions


# Bounded, because clients choose the fields.
@lru_cache(SHAPES)
def _insert(model: Any, unique: str, names: tuple[str, ...]) -> Any:
    given = _given({name: getattr(model, name).type for name in names})
    table = model.__table__
    return (
        insert(table)
        .from_select(names, select(*given.c).where(*_refers(model, given)))
        .on_conflict_do_nothing(index_elements=[unique])
        .returning(*record_columns(model), table.c[unique])
    )


@cache
def _update(model: Any, names: frozenset[str]) -> Any:
    table = model.__table__
    given = _given({"id": table.c.id.type, **types_of(model, names)})
    # Locked records are skipped.
    free = (
        select(table.c.id)
        .where(table.c.id == given.c.id, *_refers(model, given))
        .with_for_update(of=table, key_share=True, skip_locked=True)
        .cte("_free")
    )
    return (
        update(table)
        .where(table.c.id == given.c.id, table.c.id == free.c.id)
        .values(changed(model, names, given.c))
        .returning(*record_columns(model))
    )
