"""The statements of the blueprint: each returns rows as models, or raises what they mean."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager

from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from service.common.database_errors import constraint_of
from service.common.exceptions import RecordAlreadyExists, cut
from service.common.models import MAX_BIGINT
from service.foss.models import Foss


async def insert_foss(session: AsyncSession, values: Mapping[str, str]) -> Foss:
    """Store a record and return it as the database completed it.

    Raises RecordAlreadyExists: the e-mail is taken.
    """
    statement = insert(Foss).values(**values).returning(Foss)
    with _translate_conflict(values):
        return (await session.scalars(statement)).one()


async def select_foss(session: AsyncSession, id: int) -> Foss | None:
    """Return the record, or None."""
    if id > MAX_BIGINT:
        return None
    return (await session.scalars(select(Foss).where(Foss.id == id))).one_or_none()


async def select_foss_page(session: AsyncSession, after: int | None, limit: int) -> Sequence[Foss]:
    """Return up to `limit` records beyond the id `after`, in the order of their ids."""
    statement = select(Foss).order_by(Foss.id).limit(limit)
    if after is not None:
        statement = statement.where(Foss.id > after)
    return (await session.scalars(statement)).all()


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


@contextmanager
def _translate_conflict(values: Mapping[str, str]) -> Iterator[None]:
    try:
        yield
    except IntegrityError as error:
        if constraint_of(error) != "uq_foss_email":
            raise
        raise RecordAlreadyExists(
            f"Email `{cut(values['email'])}` has already been taken"
        ) from error
