"""The statements of the blueprint: each returns records, or raises what it means."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import cache
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Select,
    delete,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.ext.asyncio import AsyncSession

from service.common.bulk.forms import LineForm, stream_selection
from service.common.bulk.staging import StagedLines
from service.common.database.batching import batched, costly, searching, shared
from service.common.database.batching.autocommit import Session
from service.common.database.models import MAX_BIGINT
from service.common.database.sqlstates import violation_of
from service.common.errors import RecordAlreadyExists, cut
from service.common.resource.batches import any_of, insert_batch, update_batch
from service.common.resource.collection import (
    equals,
    is_costly,
    of_versions,
    record_columns,
    select_page,
)
from service.common.resource.cursors import Filters
from service.common.resource.entity_tags import Versions
from service.common.resource.pages import Page, Selection
from service.common.resource.records import Record
from service.common.resource.search.backend import condition_of, weigh
from service.common.resource.search.pages import PART, search_page
from service.foss.models import Foss

# What `q` is looked for in.
SEARCHED = ("name", "email")
INSERT_BATCH = insert_batch(Foss, "email")
UPDATE_BATCH = update_batch(Foss)


async def insert_foss(session: Session, values: Mapping[str, str]) -> Record:
    """Store a record and return it as the database completed it.

    Raises RecordAlreadyExists: the e-mail is taken.
    """
    if foss := await INSERT_BATCH(session, values["email"], values):
        return foss
    statement = insert(Foss).values(**values).returning(*record_columns(Foss))
    with _unique_email(values):
        return Record(*(await session.execute(statement)).one())


def stage_foss(session: AsyncSession) -> StagedLines:
    """Return what stores many records, but for those whose e-mail is taken: these are faults."""
    return StagedLines(session, Foss, "email", _taken)


async def select_foss(
    session: Session, id: int, fields: tuple[str, ...] | None = None
) -> Record | None:
    """Return the record, with these fields (None: all), or None."""
    return None if id > MAX_BIGINT else await _select_batch(session, id, fields)


@batched
async def _select_batch(
    session: AsyncSession, ids: Sequence[int], fields: tuple[str, ...] | None
) -> Mapping[int, Record]:
    found = await session.execute(_by_id(fields), {"keys": ids})
    return {row.id: Record(*row) for row in found}


@cache
def _by_id(fields: tuple[str, ...] | None) -> Select[Any]:
    return select(*record_columns(Foss, fields)).where(any_of(Foss.__table__.c.id))


async def select_foss_page(session: Session, selection: Selection) -> Page:
    """Return the page that a selection names."""
    is_search = PART in dict(selection.filters)
    if is_costly(Foss, selection):
        session = costly(session)
    elif is_search:
        session = searching(session)
    if is_search:
        return await search_page(session, Foss, selection, SEARCHED)
    return await _select_page(session, selection)


@shared
async def _select_page(session: AsyncSession, selection: Selection) -> Page:
    conditions = await _conditions(session, selection.filters)
    return await select_page(session, Foss, selection, conditions)


async def stream_foss(
    session: AsyncSession, selection: Selection, form: LineForm
) -> AsyncIterator[str]:
    """Yield the lines of all records of a selection, many at a time."""
    conditions = await _conditions(session, selection.filters)
    async for lines in stream_selection(session, Foss, selection, conditions, form):
        yield lines


async def count_foss(session: Session, filters: Filters) -> int:
    """Return how many records pass the filters."""
    return await _count(costly(session), filters)


@shared
async def _count(session: AsyncSession, filters: Filters) -> int:
    conditions = await _conditions(session, filters)
    statement = select(func.count()).select_from(Foss).where(*conditions)
    return (await session.scalars(statement)).one()


async def update_foss(
    session: Session, id: int, values: Mapping[str, str], versions: Versions | None
) -> Record | None:
    """Change a record that has one of `versions` (None: any) and return it, or None.

    Raises RecordAlreadyExists: the e-mail is taken.
    """
    if id > MAX_BIGINT:
        return None
    # What is unique may be in another's way.
    alone = versions is not None or "email" in values
    if not alone and (foss := await UPDATE_BATCH(session, id, values)):
        return foss
    statement = update(Foss).where(Foss.id == id, *of_versions(Foss, versions))
    statement = statement.execution_options(synchronize_session=False)
    with _unique_email(values):
        found = await session.execute(statement.values(values).returning(*record_columns(Foss)))
    return next((Record(*row) for row in found), None)


async def delete_foss(session: Session, id: int, versions: Versions | None) -> bool:
    """Delete a record that has one of `versions` (None: any); return whether there was one."""
    if id > MAX_BIGINT:
        return False
    statement = delete(Foss).where(Foss.id == id, *of_versions(Foss, versions))
    return (await session.scalar(statement.returning(Foss.id))) is not None


async def _conditions(session: Session, filters: Filters) -> list[ColumnElement[bool]]:
    columns = Foss.__table__.c
    return [
        condition_of(await weigh(session, Foss, SEARCHED, text), columns)
        if name == PART
        else equals(Foss, name, text)
        for name, text in filters
    ]


def _unique_email(values: Mapping[str, str]) -> AbstractContextManager[None]:
    return violation_of("uq_foss_email", lambda: RecordAlreadyExists(_taken(values["email"])))


def _taken(email: str) -> str:
    return f"Email `{cut(email)}` has already been taken"
