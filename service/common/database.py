"""The connections of an application, its sessions and the unit of work."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from service.common import limits
from service.common.batching.autocommit import Autocommit
from service.common.batching.batches import Connections
from service.common.engine import create_engine, database_url
from service.settings import Settings

POOL_WAIT_SECONDS = limits.POOL_WAIT_SECONDS.value
# What moves a file's worth of records has connections of its own, so that it never takes those of
# the other requests, and longer statements: it ends where one makes no progress for so long.
BULK_CONNECTIONS = limits.BULK_TRANSFERS.value
BULK_SECONDS = limits.PROGRESS_SECONDS.value
NOT_OPEN = "The database is not open: it opens with the application."


class Database:
    """The connections of one application, from `open` to `close`."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._engine: AsyncEngine | None = None
        self._bulk: AsyncEngine | None = None
        self._alone_engine: AsyncEngine | None = None
        self._autocommit = Autocommit(Connections(self._alone, self._has_room))

    async def open(self) -> None:
        """Make the pool; no connection is made before the first is needed."""
        url = await asyncio.to_thread(database_url, self._settings)
        self._engine = create_engine(
            url,
            statement_timeout=self._settings.database_statement_timeout,
            pool_size=self._settings.database_pool_size,
            max_overflow=0,
            pool_timeout=POOL_WAIT_SECONDS,
            pool_use_lifo=True,
        )
        self._bulk = create_engine(
            url,
            statement_timeout=BULK_SECONDS,
            pool_size=1,
            max_overflow=BULK_CONNECTIONS - 1,
            pool_timeout=POOL_WAIT_SECONDS,
        )
        # The same pool.
        self._alone_engine = self._engine.execution_options(isolation_level="AUTOCOMMIT")

    async def close(self) -> None:
        """Close every connection."""
        if self._engine is not None and self._bulk is not None:
            await self._engine.dispose()
            await self._bulk.dispose()
            self._engine = self._alone_engine = self._bulk = None

    @property
    def engine(self) -> AsyncEngine:
        """The open engine."""
        if self._engine is None:
            raise RuntimeError(NOT_OPEN)
        return self._engine

    def writer(self) -> AsyncSession:
        """Return a session whose work is rolled back unless `commit` is called for it."""
        return AsyncSession(self.engine, expire_on_commit=False)

    def autocommit(self) -> AsyncSession:
        """Return what runs statements that stand alone, each durable when it returns."""
        return self._autocommit

    @asynccontextmanager
    async def _alone(self) -> AsyncIterator[AsyncSession]:
        if self._alone_engine is None:
            raise RuntimeError(NOT_OPEN)
        session = AsyncSession(self._alone_engine, expire_on_commit=False)
        try:
            yield session
        finally:
            await release(session)

    def _has_room(self) -> bool:
        """Return whether nobody waits for a connection: some are left, or not yet made."""
        pool: Any = self.engine.pool
        return bool(pool.checkedout() < pool.size())

    def bulk(self) -> AsyncSession:
        """Return a session as a writer's, for many records at once."""
        if self._bulk is None:
            raise RuntimeError(NOT_OPEN)
        return AsyncSession(self._bulk, expire_on_commit=False)


async def commit(session: AsyncSession) -> None:
    """Make a request's work durable: the one commit of the code base."""
    if session.in_transaction():
        await session.commit()


async def release(session: AsyncSession) -> None:
    """Give the connection back, rolled back unless it was committed."""
    if not session.in_transaction():
        return
    try:
        await session.close()
    except (DBAPIError, OSError):
        # The connection is dead, and with it what there was to roll back.
        await session.invalidate()
