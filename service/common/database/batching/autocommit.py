"""Autocommit: statements that stand alone, each durable when it returns."""

from collections.abc import AsyncIterator, Awaitable, Callable, Hashable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from time import monotonic
from typing import Any, NoReturn, TypeVar

from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession

from service.common.database.batching.batches import Batches, Connections
from service.common.database.sqlstates import is_canceled, is_locked

R = TypeVar("R")

# For how long reads of a kind count as costly after one of them took too long.
SLOW_SECONDS = 5

Sessions = Callable[[], AbstractAsyncContextManager[AsyncSession]]


class Autocommit(AsyncSession):
    """What runs single statements, for all requests of an application at once.

    Each has a connection of its own, in one round trip: no BEGIN, no COMMIT.
    Whatever takes more than a statement is refused, for it takes a transaction.
    """

    def __init__(
        self,
        connections: Connections,
        *,
        patient: Sessions | None = None,
        costly: "Autocommit | None" = None,
        searches: "Autocommit | None" = None,
    ) -> None:
        """Take connections for statements, and those for statements that wait for locks.

        A statement that fails because another transaction holds a lock is repeated by `patient`,
        where it may wait for the lock. `costly` runs reads whose cost grows with the table, and
        `searches` the other searches.
        """
        # Not that of AsyncSession: nothing is kept between two statements.
        self._connections = connections
        self._patient = patient
        self.costly = costly or self
        self.searches = searches or self
        self.batches = Batches(connections)
        # Kinds of reads that took too long, and until when they count as costly.
        self._slow: dict[Hashable, float] = {}

    @asynccontextmanager
    async def hold(self) -> AsyncIterator[AsyncSession]:
        """Return a connection for several statements, each of which stands alone."""
        with self._connections.waiting():
            async with self._connections.session() as session:
                yield session

    async def share(self, kind: Hashable, call: Callable[[Batches], Awaitable[R]]) -> R:
        """Return the result of a read that calls may share.

        If it takes longer than a cheap read may, it is repeated as a costly one. For a while reads
        of the same kind are costly from the start.
        """
        now = monotonic()
        if self._slow.get(kind, 0) > now:
            return await call(self.costly.batches)
        try:
            return await call(self.batches)
        except DBAPIError as error:
            if self.costly is self or not is_canceled(error):
                raise
        kept = {slow: until for slow, until in self._slow.items() if until > now}
        self._slow = {**kept, kind: monotonic() + SLOW_SECONDS}
        return await call(self.costly.batches)

    async def execute(self, *args: Any, **options: Any) -> Any:
        """Run a statement and return its result."""
        return await self._run(AsyncSession.execute, args, options)

    async def scalar(self, *args: Any, **options: Any) -> Any:
        """Run a statement and return its first value."""
        return await self._run(AsyncSession.scalar, args, options)

    async def scalars(self, *args: Any, **options: Any) -> Any:
        """Run a statement and return the first value of each row."""
        return await self._run(AsyncSession.scalars, args, options)

    async def _run(self, run: Any, args: Any, options: Any) -> Any:
        try:
            async with self.hold() as session:
                return await run(session, *args, **options)
        except DBAPIError as error:
            if self._patient is None or not is_locked(error):
                raise
        async with self._patient() as session:
            return await run(session, *args, **options)

    def in_transaction(self) -> bool:
        """Return that there is none."""
        return False

    @property
    def sync_session(self) -> NoReturn:  # type: ignore[override]
        """What all other methods ask for."""
        raise RuntimeError("A single statement has no session: ask for a transaction's.")
