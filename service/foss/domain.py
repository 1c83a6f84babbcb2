"""What one can do with a Foss: plain functions from values to values."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import NoReturn

from sqlalchemy.ext.asyncio import AsyncSession

from service.common.cursors import decode_cursor, encode_cursor
from service.common.exceptions import PreconditionFailed, RecordNotFound, cut
from service.foss import backend
from service.foss.models import Foss
from service.foss.payloads import CreateFoss, ListFoss, UpdateFoss


@dataclass(frozen=True, slots=True)
class Page:
    """Some records, and the cursor of those that follow, if any."""

    records: list[Foss]
    next: str | None


async def create_foss(session: AsyncSession, payload: CreateFoss) -> Foss:
    """Store a new Foss. Raises RecordAlreadyExists."""
    return await backend.insert_foss(session, payload.model_dump())


async def get_foss(session: AsyncSession, id: int) -> Foss:
    """Return a Foss. Raises RecordNotFound."""
    foss = await backend.select_foss(session, id)
    if foss is None:
        raise _not_found(id)
    return foss


async def list_foss(session: AsyncSession, query: ListFoss) -> Page:
    """Return a page of the collection. Raises InvalidAPIRequest where the cursor is malformed."""
    after = decode_cursor(query.after) if query.after is not None else None
    found = await backend.select_foss_page(session, after, query.limit + 1)
    records = list(found[: query.limit])
    return Page(records, encode_cursor(records[-1].id) if len(found) > query.limit else None)


async def update_foss(
    session: AsyncSession, id: int, payload: UpdateFoss, versions: Collection[int] | None
) -> Foss:
    """Change the fields that the payload names; `versions` are those that may be changed.

    Raises RecordNotFound, PreconditionFailed, RecordAlreadyExists.
    """
    changes = payload.model_dump(exclude_unset=True)
    if changes:
        foss = await backend.update_foss(session, id, changes, versions)
        return foss or await _missed(session, id, versions)
    foss = await get_foss(session, id)
    return foss if versions is None or foss.version in versions else _stale(foss)


async def delete_foss(session: AsyncSession, id: int, versions: Collection[int] | None) -> str:
    """Delete a Foss that has one of `versions` and return a sentence about it.

    Raises RecordNotFound, PreconditionFailed.
    """
    if not await backend.delete_foss(session, id, versions):
        await _missed(session, id, versions)
    return f"Foss with `id: {id}` has been deleted."


async def _missed(session: AsyncSession, id: int, versions: Collection[int] | None) -> NoReturn:
    """Raise the reason why a statement found no record to change."""
    if versions is None:
        raise _not_found(id)
    _stale(await get_foss(session, id))


def _stale(foss: Foss) -> NoReturn:
    raise PreconditionFailed(
        f"Foss with `id: {foss.id}` has changed: read it again.", version=foss.version
    )


def _not_found(id: int) -> RecordNotFound:
    return RecordNotFound(f"There is no Foss with `id: {cut(str(id))}`")
