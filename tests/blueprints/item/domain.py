"""The operations on an Item: plain functions from values to values."""

from collections.abc import AsyncIterator

from sqlalchemy.ext.asyncio import AsyncSession

from service.common.bulk import LineForm, Lines, StagedLines, stream_records
from service.common.database import Session
from service.common.resource import Page, Record, Versions
from tests.blueprints.item.backend import ITEM
from tests.blueprints.item.payloads import CreateItem, GetItem, ListItem, UpdateItem


async def create_item(session: Session, payload: CreateItem) -> Record:
    """Create an Item. Raises RecordAlreadyExists."""
    return await ITEM.insert(session, payload.model_dump())


async def import_item(session: AsyncSession, lines: Lines) -> int:
    """Create an Item from every line, or none; return their number. Raises InvalidAPIRequest."""
    return await lines.store(StagedLines(session, ITEM))


async def get_item(session: Session, id: int, query: GetItem) -> Record:
    """Return an Item, or some of its fields. Raises RecordNotFound."""
    return await ITEM.get(session, id, query.only, query.exclude, query.include)


async def list_item(session: Session, query: ListItem, *, count: bool = False) -> Page:
    """Return a page, with `count` also the number of matches. Raises InvalidAPIRequest."""
    return await ITEM.page(session, query, count=count)


def export_item(session: AsyncSession, query: ListItem, form: LineForm) -> AsyncIterator[bytes]:
    """Yield the lines of every record, or of `limit` records. Raises InvalidAPIRequest."""
    return stream_records(session, ITEM, query, form)


async def update_item(
    session: Session, id: int, payload: UpdateItem, versions: Versions | None
) -> Record:
    """Change the fields of the payload, if the record has one of `versions`.

    Raises RecordNotFound, PreconditionFailed, RecordAlreadyExists.
    """
    return await ITEM.update(session, id, payload.model_dump(exclude_unset=True), versions)


async def delete_item(session: Session, id: int, versions: Versions | None) -> str:
    """Delete an Item and return the message. Raises RecordNotFound, PreconditionFailed."""
    return await ITEM.delete(session, id, versions)
