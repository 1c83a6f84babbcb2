"""The operations on a Foss: plain functions from values to values."""

from collections.abc import AsyncIterator

from sqlalchemy.ext.asyncio import AsyncSession

from service.common.bulk import LineForm, Lines, StagedLines, stream_records
from service.common.database import Session
from service.common.resource import Page, Record, Versions
from service.foss.backend import FOSS
from service.foss.payloads import CreateFoss, GetFoss, ListFoss, UpdateFoss


async def create_foss(session: Session, payload: CreateFoss) -> Record:
    """Create a Foss. Raises RecordAlreadyExists."""
    return await FOSS.insert(session, payload.model_dump())


async def import_foss(session: AsyncSession, lines: Lines) -> int:
    """Create a Foss from every line, or none; return their number. Raises InvalidAPIRequest."""
    return await lines.store(StagedLines(session, FOSS))


async def get_foss(session: Session, id: int, query: GetFoss) -> Record:
    """Return a Foss, or some of its fields. Raises RecordNotFound."""
    return await FOSS.get(session, id, query.only, query.exclude, query.include)


async def list_foss(session: Session, query: ListFoss, *, count: bool = False) -> Page:
    """Return a page, with `count` also the number of matches. Raises InvalidAPIRequest."""
    return await FOSS.page(session, query, count=count)


def export_foss(session: AsyncSession, query: ListFoss, form: LineForm) -> AsyncIterator[bytes]:
    """Yield the lines of every record, or of `limit` records. Raises InvalidAPIRequest."""
    return stream_records(session, FOSS, query, form)


async def update_foss(
    session: Session, id: int, payload: UpdateFoss, versions: Versions | None
) -> Record:
    """Change the fields of the payload, if the record has one of `versions`.

    Raises RecordNotFound, PreconditionFailed, RecordAlreadyExists.
    """
    return await FOSS.update(session, id, payload.model_dump(exclude_unset=True), versions)


async def delete_foss(session: Session, id: int, versions: Versions | None) -> str:
    """Delete a Foss and return the message. Raises RecordNotFound, PreconditionFailed, Conflict."""
    return await FOSS.delete(session, id, versions)
