"""The statements of the blueprint: each returns rows as models, or raises what they mean."""

from collections.abc import AsyncIterator, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from sqlalchemy import ColumnElement, Select, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import load_only
from sqlalchemy.orm.strategy_options import _AbstractLoad

from service.common.database_errors import constraint_of
from service.common.exceptions import Fault, RecordAlreadyExists, cut
from service.common.exports.backend import LineForm, stream_lines
from service.common.imports.backend import insert_lines
from service.common.keyset import beyond, order_by
from service.common.models import MAX_BIGINT
from service.common.pages import Selection
from service.common.search.backend import contains
from service.foss.models import Foss


async def insert_foss(session: AsyncSession, values: Mapping[str, str]) -> Foss:
    """Store a record and return it as the database completed it.

    Raises RecordAlreadyExists: the e-mail is taken.
    """
    statement = insert(Foss).values(**values).returning(Foss)
    with _translate_conflict(values):
        return (await session.scalars(statement)).one()


async def insert_foss_lines(
    session: AsyncSession, lines: Sequence[tuple[int, Mapping[str, str]]]
) -> list[Fault]:
    """Store records, each with its line, but for those whose e-mail is taken: these are faults."""
    taken = await insert_lines(session, Foss, "email", lines)
    return [Fault("/email", "uniqueItems", _taken(email), line) for line, email in taken]


async def select_foss(
    session: AsyncSession, id: int, fields: Collection[str] | None = None
) -> Foss | None:
    """Return the record, with its version and these fields (None: all), or None."""
    if id > MAX_BIGINT:
        return None
    statement = select(Foss).where(Foss.id == id)
    if fields is not None:
        statement = statement.options(_only({*fields, "version"}))
    return (await session.scalars(statement)).one_or_none()


async def select_foss_page(session: AsyncSession, selection: Selection) -> Sequence[Foss]:
    """Return the records of a page, on its way, and one more where there are more."""
    limit = None if selection.limit is None else selection.limit + 1
    records = select(Foss).options(_only(selection.columns))
    found = await _in_order(session, records, selection)
    return (await session.scalars(found.limit(limit))).all()


async def stream_foss(
    session: AsyncSession, selection: Selection, form: LineForm
) -> AsyncIterator[str]:
    """Yield the lines of all records of a selection, many at a time."""
    line = form.line([getattr(Foss, name) for name in selection.fields]).label("line")
    found = select(line)
    if selection.backward:
        found = found.add_columns(*(getattr(Foss, key.name) for key in selection.order))
    found = (await _in_order(session, found, selection)).limit(selection.limit)
    if selection.backward:
        rows = found.subquery()
        found = select(rows.c.line).order_by(*order_by(rows.c, selection.order))
    async for lines in stream_lines(session, found, form.head(selection.fields)):
        yield lines


async def count_foss(session: AsyncSession, filters: Mapping[str, str]) -> int:
    """Return how many records pass the filters."""
    conditions = await _conditions(session, filters)
    statement = select(func.count()).select_from(Foss).where(*conditions)
    return (await session.scalars(statement)).one()


async def update_foss(
    session: AsyncSession, id: int, values: Mapping[str, str], versions: Collection[int] | None
) -> Foss | None:
    """Change a record that has one of `versions` (None: any) and return it, or None.

    Raises RecordAlreadyExists: the e-mail is taken.
    """
    if id > MAX_BIGINT:
        return None
    statement = update(Foss).where(Foss.id == id)
    if versions is not None:
        statement = statement.where(Foss.version.in_(versions))
    changes = {**values, "version": Foss.version + 1, "updated_at": func.now()}
    with _translate_conflict(values):
        return (await session.scalars(statement.values(changes).returning(Foss))).one_or_none()


async def delete_foss(session: AsyncSession, id: int, versions: Collection[int] | None) -> bool:
    """Delete a record that has one of `versions` (None: any); return whether there was one."""
    if id > MAX_BIGINT:
        return False
    statement = delete(Foss).where(Foss.id == id)
    if versions is not None:
        statement = statement.where(Foss.version.in_(versions))
    return (await session.scalar(statement.returning(Foss.id))) is not None


async def _conditions(
    session: AsyncSession, filters: Mapping[str, str]
) -> list[ColumnElement[bool]]:
    found = [getattr(Foss, name) == text for name, text in filters.items() if name != "q"]
    if "q" in filters:
        found.append(await contains(session, (Foss.name, Foss.email), filters["q"]))
    return found


async def _in_order(
    session: AsyncSession, statement: Select[Any], selection: Selection
) -> Select[Any]:
    statement = statement.where(*await _conditions(session, selection.filters))
    if selection.beyond is not None:
        statement = statement.where(beyond(Foss, selection.way, selection.beyond))
    return statement.order_by(*order_by(Foss, selection.way))


def _only(names: Collection[str]) -> _AbstractLoad:
    return load_only(*(getattr(Foss, name) for name in names), raiseload=True)


@contextmanager
def _translate_conflict(values: Mapping[str, str]) -> Iterator[None]:
    try:
        yield
    except IntegrityError as error:
        if constraint_of(error) != "uq_foss_email":
            raise
        raise RecordAlreadyExists(_taken(values["email"])) from error


def _taken(email: str) -> str:
    return f"Email `{cut(email)}` has already been taken"
