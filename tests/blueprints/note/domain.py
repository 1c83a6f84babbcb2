"""The operations on a Note: plain functions from values to values."""

from service.common.database import Session
from service.common.resource import Page, Record, Versions
from tests.blueprints.note.backend import NOTE
from tests.blueprints.note.payloads import CreateNote, GetNote, ListNote, UpdateNote


async def create_note(session: Session, payload: CreateNote) -> Record:
    """Create a Note. Raises RecordAlreadyExists."""
    return await NOTE.insert(session, payload.model_dump())


async def get_note(session: Session, id: int, query: GetNote) -> Record:
    """Return a Note, or some of its fields. Raises RecordNotFound."""
    return await NOTE.get(session, id, query.only, query.exclude, query.include)


async def list_note(session: Session, query: ListNote, *, count: bool = False) -> Page:
    """Return a page, with `count` also the number of matches. Raises InvalidAPIRequest."""
    return await NOTE.page(session, query, count=count)


async def list_note_of_account(
    session: Session, id: int, query: ListNote, *, count: bool = False
) -> Page:
    """Return a page of those that refer to `id`. Raises RecordNotFound, InvalidAPIRequest."""
    return await NOTE.page_of(session, "account_id", id, query, count=count)


async def list_note_of_note(
    session: Session, id: int, query: ListNote, *, count: bool = False
) -> Page:
    """Return a page of those that refer to `id`. Raises RecordNotFound, InvalidAPIRequest."""
    return await NOTE.page_of(session, "origin_id", id, query, count=count)


async def update_note(
    session: Session, id: int, payload: UpdateNote, versions: Versions | None
) -> Record:
    """Change the fields of the payload, if the record has one of `versions`.

    Raises RecordNotFound, PreconditionFailed, RecordAlreadyExists.
    """
    return await NOTE.update(session, id, payload.model_dump(exclude_unset=True), versions)


async def delete_note(session: Session, id: int, versions: Versions | None) -> str:
    """Delete a Note and return the message. Raises RecordNotFound, PreconditionFailed."""
    return await NOTE.delete(session, id, versions)
