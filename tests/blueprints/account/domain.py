"""The operations on an account, and their rules."""

from collections.abc import AsyncIterator

from sqlalchemy.ext.asyncio import AsyncSession

from service.common.bulk import LineForm, Lines, StagedLines, stream_records
from service.common.database import Session
from service.common.errors import Conflict, Fault, InvalidAPIRequest
from service.common.resource import Lock, Page, Record, Versions
from tests.blueprints.account.backend import ACCOUNT
from tests.blueprints.account.models import Account
from tests.blueprints.account.payloads import (
    CreateAccount,
    GetAccount,
    ListAccount,
    Transfer,
    UpdateAccount,
)


async def create_account(session: Session, payload: CreateAccount) -> Record:
    """Store a new account."""
    return await ACCOUNT.insert(session, payload.model_dump())


async def import_account(session: AsyncSession, lines: Lines) -> int:
    """Create an account from every line, or none; return their number."""
    return await lines.store(StagedLines(session, ACCOUNT))


async def get_account(session: Session, id: int, query: GetAccount) -> Record:
    """Return an account, or some of its fields."""
    return await ACCOUNT.get(session, id, query.only, query.exclude, query.include)


async def list_account(session: Session, query: ListAccount, *, count: bool = False) -> Page:
    """Return a page, and with `count` how many records there are."""
    return await ACCOUNT.page(session, query, count=count)


def export_account(
    session: AsyncSession, query: ListAccount, form: LineForm
) -> AsyncIterator[bytes]:
    """Yield the lines of every record, or of `limit` records."""
    return stream_records(session, ACCOUNT, query, form)


async def update_account(
    session: AsyncSession, id: int, payload: UpdateAccount, versions: Versions | None
) -> Record:
    """Change an open account; only an empty one can be closed. Raises Conflict."""
    account = await ACCOUNT.record(session, id, versions, lock=Lock.NO_KEY_UPDATE)
    require_open(account)
    if payload.status == "closed" and account.balance:
        raise Conflict(f"Account with `id: {id}` has {account.balance}: transfer it first.")
    return await ACCOUNT.update(session, id, payload.model_dump(exclude_unset=True))


async def delete_account(session: AsyncSession, id: int, versions: Versions | None) -> str:
    """Delete an empty account and return a message. Raises Conflict."""
    account = await ACCOUNT.record(session, id, versions, lock=Lock.UPDATE)
    if account.balance:
        raise Conflict(f"Account with `id: {id}` has {account.balance}: transfer it first.")
    return await ACCOUNT.delete(session, id)


async def transfer(session: AsyncSession, payload: Transfer) -> list[Record]:
    """Move an amount between two open accounts, and return both. Raises Conflict: overdrawn."""
    if payload.source == payload.target:
        fault = Fault("/target", "not", "'target' is the account that 'source' names")
        raise InvalidAPIRequest(status_code=422, faults=[fault])
    ids = [payload.source, payload.target]
    source, target = await ACCOUNT.records(session, ids, lock=Lock.NO_KEY_UPDATE)
    require_open(source)
    require_open(target)
    if source.balance < payload.amount:
        raise Conflict(f"Account with `id: {source.id}` has only {source.balance}.")
    return [
        await ACCOUNT.update(session, source.id, {"balance": source.balance - payload.amount}),
        await ACCOUNT.update(session, target.id, {"balance": target.balance + payload.amount}),
    ]


def require_open(account: Account) -> None:
    """Raise Conflict if the account is closed."""
    if account.status == "closed":
        raise Conflict(f"Account with `id: {account.id}` is closed: it cannot be changed.")
