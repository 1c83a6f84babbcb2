"""What one can do with a Foss: plain functions from values to values."""

from collections.abc import AsyncIterator, Collection
from dataclasses import replace
from typing import NoReturn

from sqlalchemy.ext.asyncio import AsyncSession

from service import limits
from service.common.bulk.forms import LineForm
from service.common.bulk.lines import Lines
from service.common.database.batching.autocommit import Session
from service.common.database.serializers import select_fields
from service.common.errors import PreconditionFailed, RecordNotFound, cut
from service.common.resource.entity_tags import Versions, entity_tag
from service.common.resource.ordering import order_of
from service.common.resource.pages import Page, Selection, read_cursor
from service.common.resource.records import Record
from service.foss import backend
from service.foss.models import Foss
from service.foss.payloads import CreateFoss, ListFoss, UpdateFoss

# Nothing has to break a tie between records that are told apart by one of these.
UNIQUE = frozenset({"id", "email"})
FILTERS = ("name", "email", "q")


async def create_foss(session: Session, payload: CreateFoss) -> Record:
    """Store a new Foss. Raises RecordAlreadyExists."""
    return await backend.insert_foss(session, payload.model_dump())


async def import_foss(session: AsyncSession, lines: Lines) -> int:
    """Store every line as a new Foss, or none, and return how many.

    Raises InvalidAPIRequest (422): the faults by line, a taken e-mail among them.
    """
    return await lines.store(backend.stage_foss(session))


async def get_foss(
    session: Session,
    id: int,
    only: Collection[str] | None = None,
    exclude: Collection[str] | None = None,
) -> Record:
    """Return a Foss that has `only` these fields, or all but `exclude`. Raises RecordNotFound."""
    # A whole record needs no list of its columns, and most requests ask for one.
    partly = only is not None or exclude is not None
    fields = tuple(select_fields(Foss.fields(), only, exclude)) if partly else None
    foss = await backend.select_foss(session, id, fields)
    if foss is None:
        raise _not_found(id)
    return foss


async def list_foss(session: Session, query: ListFoss, *, count: bool = False) -> Page:
    """Return a page of the collection, and with `count` how many records there are.

    Raises InvalidAPIRequest: a field is in `sort` twice, or the cursor is not of this collection.
    """
    selection = select_records(query, min(query.limit, limits.PAGE_RECORDS.value))
    page = await backend.select_foss_page(session, selection)
    if count:
        page = replace(page, total=await backend.count_foss(session, selection.filters))
    return page


def export_foss(session: AsyncSession, query: ListFoss, form: LineForm) -> AsyncIterator[str]:
    """Yield the lines of every record, or of `limit` records; see `list_foss` for errors."""
    limit = query.limit if "limit" in query.model_fields_set else None
    return backend.stream_foss(session, select_records(query, limit), form)


def select_records(query: ListFoss, limit: int | None) -> Selection:
    """Return what a query string asks for. Raises InvalidAPIRequest."""
    order = order_of(query.sort, UNIQUE)
    texts = ((name, getattr(query, name)) for name in FILTERS)
    filters = tuple((name, text) for name, text in texts if text is not None)
    return Selection(
        order=order,
        filters=filters,
        fields=tuple(select_fields(Foss.fields(), query.only, query.exclude)),
        limit=limit,
        after=read_cursor(query.after, order, filters, Foss),
    )


async def update_foss(
    session: Session, id: int, payload: UpdateFoss, versions: Versions | None
) -> Record:
    """Change the fields that the payload names; `versions` are those that may be changed.

    Raises RecordNotFound, PreconditionFailed, RecordAlreadyExists.
    """
    changes = payload.model_dump(exclude_unset=True)
    if changes:
        foss = await backend.update_foss(session, id, changes, versions)
        return foss or await _missed(session, id, versions)
    foss = await get_foss(session, id)
    return foss if versions is None or foss.version in versions else _refuse(foss, versions)


async def delete_foss(session: Session, id: int, versions: Versions | None) -> str:
    """Delete a Foss that has one of `versions` and return a sentence about it.

    Raises RecordNotFound, PreconditionFailed.
    """
    if not await backend.delete_foss(session, id, versions):
        await _missed(session, id, versions)
    return f"Foss with `id: {id}` has been deleted."


async def _missed(session: Session, id: int, versions: Versions | None) -> NoReturn:
    """Raise the reason why a statement found no record to change."""
    if versions is None:
        raise _not_found(id)
    _refuse(await get_foss(session, id), versions)


def _refuse(foss: Record, versions: Versions) -> NoReturn:
    if versions.accepts(foss.version):
        sentence = f"`If-None-Match` excludes the present version of Foss with `id: {foss.id}`."
    else:
        sentence = f"Foss with `id: {foss.id}` has changed: read it again."
    raise PreconditionFailed(sentence, tag=entity_tag(foss.version))


def _not_found(id: int) -> RecordNotFound:
    return RecordNotFound(f"There is no Foss with `id: {cut(str(id))}`")
