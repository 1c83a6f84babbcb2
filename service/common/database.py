"""The connections of an application, its sessions and the unit of work."""

import asyncio

from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from service.common.engine import create_engine, database_url
from service.settings import Settings

POOL_WAIT_SECONDS = 2
NOT_OPEN = "The database is not open: it opens with the application."


class Database:
    """The connections of one application, from `open` to `close`."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._engine: AsyncEngine | None = None
        self._autocommit: AsyncEngine | None = None

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
        # The same pool; made here, for every read asks for it.
        self._autocommit = self._engine.execution_options(isolation_level="AUTOCOMMIT")

    async def close(self) -> None:
        """Close every connection."""
        if self._engine is not None:
            await self._engine.dispose()
            self._engine = self._autocommit = None

    @property
    def engine(self) -> AsyncEngine:
        """The open engine."""
        if self._engine is None:
            raise RuntimeError(NOT_OPEN)
        return self._engine

    def writer(self) -> AsyncSession:
        """Return a session whose work is rolled back unless `commit` is called for it."""
        return AsyncSession(self.engine, expire_on_commit=False)

    def reader(self) -> AsyncSession:
        """Return a session whose statements stand alone: no BEGIN, no COMMIT, one round trip."""
        if self._autocommit is None:
            raise RuntimeError(NOT_OPEN)
        return AsyncSession(self._autocommit, expire_on_commit=False)


async def commit(session: AsyncSession) -> None:
    """Make a request's work durable: the one commit of the code base."""
    await session.commit()
