"""The statements of idempotency keys."""

from datetime import timedelta
from hashlib import sha256
from typing import Any

from sqlalchemy import delete, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from service import limits
from service.common.idempotency.models import IdempotencyKey

KEPT = timedelta(hours=limits.IDEMPOTENCY_KEY_HOURS.value)
# One statement deletes no more, so that it holds its locks for a short time.
DELETED_KEYS = 10_000


async def lock_key(session: AsyncSession, key: str, lock_milliseconds: int | None = None) -> bool:
    """Lock the key until the transaction ends; return False if another transaction holds it.

    `lock_milliseconds` becomes the transaction's `lock_timeout` (None: unchanged).
    """
    number = int.from_bytes(sha256(key.encode()).digest()[:8], signed=True)
    statement = select(func.pg_try_advisory_xact_lock(number))
    if lock_milliseconds is not None:
        lock_timeout = func.set_config("lock_timeout", f"{lock_milliseconds}ms", True)
        statement = statement.add_columns(lock_timeout)
    return bool(await session.scalar(statement))


async def select_key(session: AsyncSession, key: str) -> IdempotencyKey | None:
    """Return the response stored under the key, or None."""
    statement = select(IdempotencyKey).where(
        IdempotencyKey.key == key, IdempotencyKey.created_at > func.now() - KEPT
    )
    return (await session.scalars(statement)).one_or_none()


async def insert_key(session: AsyncSession, values: dict[str, Any]) -> None:
    """Store a response; it replaces an expired one under the same key."""
    statement = insert(IdempotencyKey).values(values)
    changes = {name: statement.excluded[name] for name in values if name != "key"}
    await session.execute(
        statement.on_conflict_do_update(
            index_elements=[IdempotencyKey.key], set_=changes | {"created_at": func.now()}
        )
    )


async def delete_expired(session: AsyncSession) -> int:
    """Delete a batch of expired responses; return their number."""
    expired = (
        select(IdempotencyKey.key)
        .where(IdempotencyKey.created_at <= func.now() - KEPT)
        .limit(DELETED_KEYS)
    )
    statement = delete(IdempotencyKey).where(IdempotencyKey.key.in_(expired))
    found = await session.scalars(statement.returning(IdempotencyKey.key))
    return len(found.all())
