"""The connections of an application, and its sessions."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from itertools import chain
from math import inf
from time import monotonic
from typing import Any, cast

from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from service import limits
from service.client import CLIENT
from service.common.database.batching.autocommit import Autocommit, SingleWrite
from service.common.database.batching.batches import BatchConnections, Call
from service.common.database.engine import create_engine, database_url
from service.common.database.pool_events import Fitness
from service.common.database.statements import measure_statements, observe_statements
from service.common.database.texts import SHAPES, TREES
from service.common.database.transfers import SlowTransfers, Transfer
from service.common.database.work import (
    CHEAP,
    LONG,
    OPENED_FIRST,
    SUSPENDED_IN_POOL,
    TRANSFERS,
    Work,
    pool_sizes,
    session_settings,
)
from service.common.database.work_pool import WorkPool
from service.metrics import BATCH_CALLS, BATCH_WAIT_SECONDS
from service.observed import OBSERVED, note_wait
from service.places import Places
from service.settings import Settings

POOL_WAIT_SECONDS = limits.POOL_WAIT_SECONDS.value
CHEAP_READ_SECONDS = limits.CHEAP_READ_MILLISECONDS.value / 1000
CHEAP_WRITE_SECONDS = limits.CHEAP_WRITE_MILLISECONDS.value / 1000
BULK_SECONDS = limits.PROGRESS_SECONDS.value
# Of a request's deadline: when the server, and then the driver, cancels a statement at the latest.
# The driver's shows that a connection is lost, which the deadline does not; it comes before the
# deadline, unless the statement begins late. Between the two, 0.2 s at least, the server's answer
# arrives.
SERVER_SHARE, DRIVER_SHARE = 0.5, 0.7
NOT_OPEN = "The database is not open: it opens with the application."


class Database:
    """The connections of an application, from `open` to `close`."""

    def __init__(
        self,
        settings: Settings,
        suspended: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        """Prepare the connections; requests wait for long kinds of work inside `suspended`."""
        self._settings = settings
        self._suspended = suspended
        self._engines: dict[Work, AsyncEngine] = {}
        self._autocommit_engines: dict[Work, AsyncEngine] = {}
        longest = self._statement_timeout(Work.COSTLY)
        cheap_read = "CHEAP_READ_MILLISECONDS" if longest > CHEAP_READ_SECONDS else ""
        cheap_write = "CHEAP_WRITE_MILLISECONDS" if longest > CHEAP_WRITE_SECONDS else ""
        costly = Autocommit(self._suspending_connections(Work.COSTLY))
        pages = Autocommit(
            self._suspending_connections(Work.PAGES), costly=costly, cheap=cheap_read
        )
        searches = Autocommit(
            self._suspending_connections(Work.SEARCHES), costly=costly, cheap=cheap_read
        )
        self._reader = Autocommit(
            self._connections(Work.READS),
            costly=costly,
            pages=pages,
            searches=searches,
            cheap=cheap_read,
        )
        self._writes = Autocommit(
            self._suspending_connections(Work.WRITES),
            blocked=partial(self._autocommit, Work.BLOCKED),
            costly=costly,
            reads=self._reader,
            pages=pages,
            searches=searches,
            cheap=cheap_write,
        )
        self._health = Autocommit(replace(self._connections(Work.HEALTH), session=self._checked))
        # The imports and exports in progress, each with its session.
        self.transfers: dict[Transfer, AsyncSession] = {}
        self._slow_transfers = {
            work: SlowTransfers(
                partial(self._transfers_with_connection, work), partial(self._places, work)
            )
            for work in TRANSFERS
        }

    async def open(self) -> None:
        """Create the pools; connections are opened by health checks, or when they are needed."""
        url = await asyncio.to_thread(database_url, self._settings)
        sizes = pool_sizes(self._settings.database_pool_size)
        fitness = Fitness()
        for work in Work:
            engine = create_engine(
                url,
                setting=self._settings.database_setting,
                statement_timeout=self._statement_timeout(work),
                longest_statement=inf
                if work in TRANSFERS
                else DRIVER_SHARE * self._settings.request_timeout,
                session_settings=session_settings(work),
                fitness=fitness,
                # Those of transfers are trees.
                statements=TREES if work in TRANSFERS else SHAPES,
                poolclass=WorkPool,
                pool_size=sizes[work],
                max_overflow=0,
                pool_timeout=POOL_WAIT_SECONDS,
                pool_use_lifo=True,
            )
            pool = cast("WorkPool", engine.pool)
            pool.name = work
            if work in LONG:
                pool.share = limits.client_share(sizes[work])
            if work in SUSPENDED_IN_POOL:
                pool.while_waiting = (
                    partial(self._wait_for_transfer, work) if work in TRANSFERS else self._suspended
                )
            if self._settings.metrics_bind:
                measure_statements(engine)
            if self._settings.observes_requests:
                observe_statements(engine)
            self._engines[work] = engine
            # Shares the pool.
            self._autocommit_engines[work] = engine.execution_options(isolation_level="AUTOCOMMIT")

    @contextmanager
    def _wait_for_transfer(self, work: Work) -> Iterator[None]:
        with self._suspended(), self._slow_transfers[work].ending_for(CLIENT.get()):
            yield

    def _places(self, work: Work) -> Places:
        return self.pools()[work].places

    def _transfers_with_connection(self, work: Work) -> Iterator[Transfer]:
        # An import takes a connection only when its first records have arrived.
        engine = self._engines.get(work)
        for transfer, session in self.transfers.items():
            if session.bind is engine and (transfer.ended or session.in_transaction()):
                yield transfer

    def _statement_timeout(self, work: Work) -> float:
        if work in TRANSFERS:
            return BULK_SECONDS
        deadline = SERVER_SHARE * self._settings.request_timeout
        seconds = min(self._settings.database_statement_timeout, deadline)
        if work is Work.WRITES:
            return min(seconds, CHEAP_WRITE_SECONDS)
        return min(seconds, CHEAP_READ_SECONDS) if work in CHEAP else seconds

    async def close(self) -> None:
        """Close every connection."""
        engines, self._engines, self._autocommit_engines = self._engines, {}, {}
        # Concurrently, because a connection that a firewall has forgotten takes two seconds.
        await asyncio.gather(*(engine.dispose() for engine in engines.values()))

    @property
    def engine(self) -> AsyncEngine:
        """The open engine of reads."""
        return _opened(self._engines, Work.READS)

    def pools(self) -> dict[Work, WorkPool]:
        """Return the open pools."""
        return {work: cast("WorkPool", one.pool) for work, one in list(self._engines.items())}

    def transaction(self) -> AsyncSession:
        """Return a session that is rolled back unless `commit` is called for it."""
        return AsyncSession(_opened(self._engines, Work.TRANSACTIONS), expire_on_commit=False)

    def bulk(self) -> AsyncSession:
        """Return a session like that of `transaction`, for an import or export."""
        costly = {Work.COSTLY_EXPORTS: _opened(self._engines, Work.COSTLY_EXPORTS)}
        engine = _opened(self._engines, Work.BULK)
        return AsyncSession(engine, expire_on_commit=False, info=costly)

    def reader(self) -> Autocommit:
        """Return the session in autocommit for reads."""
        return self._reader

    def single_write(self) -> SingleWrite:
        """Return a session in autocommit for one write, durable when it returns."""
        return SingleWrite(self._writes)

    def health(self) -> Autocommit:
        """Return the session in autocommit for health checks, with a connection of its own.

        Before it is used, each pool of small requests has a connection.
        """
        return self._health

    def _connections(self, work: Work) -> BatchConnections:
        when_sent = []
        if self._settings.metrics_bind:
            when_sent.append(_measure_batches(work))
        if self._settings.observes_requests:
            when_sent.append(partial(_observe_batch, work))
        return BatchConnections(
            partial(self._autocommit, work),
            partial(self._has_free_connection, work),
            lambda: str(_opened(self._engines, work).pool),
            when_sent=when_sent,
        )

    def _suspending_connections(self, work: Work) -> BatchConnections:
        return replace(self._connections(work), waiting=self._suspended)

    @asynccontextmanager
    async def _autocommit(self, work: Work) -> AsyncIterator[AsyncSession]:
        session = AsyncSession(_opened(self._autocommit_engines, work), expire_on_commit=False)
        try:
            yield session
        finally:
            await release(session)

    @asynccontextmanager
    async def _checked(self) -> AsyncIterator[AsyncSession]:
        async with self._autocommit(Work.HEALTH) as session:
            # If the database is down, only this connection is tried.
            await session.connection()
            await asyncio.gather(*(self._open_first(work) for work in OPENED_FIRST))
            yield session

    async def _open_first(self, work: Work) -> None:
        pool: Any = _opened(self._engines, work).pool
        if pool.checkedin() + pool.checkedout() == 0:
            async with self._autocommit(work) as session:
                await session.connection()

    def _has_free_connection(self, work: Work) -> bool:
        """Return whether a connection is idle, or may be opened, and nobody waits for one."""
        pool = cast("WorkPool", _opened(self._engines, work).pool)
        return not pool.waiting and pool.checkedout() < pool.size()


def _opened(engines: Mapping[Work, AsyncEngine], work: Work) -> AsyncEngine:
    if work not in engines:
        raise RuntimeError(NOT_OPEN)
    return engines[work]


def _measure_batches(work: Work) -> Callable[[Sequence[Call]], None]:
    number, seconds = BATCH_CALLS.labels(work), BATCH_WAIT_SECONDS.labels(work)

    def measure(calls: Sequence[Call]) -> None:
        number.observe(len(calls))
        seconds.observe(monotonic() - min(call.since for call in calls))

    return measure


def _observe_batch(work: Work, calls: Sequence[Call]) -> None:
    now = monotonic()
    for call in calls:
        note_wait(call.observed, work, now - call.since, len(calls))
    # The statement's task is that of these requests until the next one is sent.
    OBSERVED.set(tuple(chain.from_iterable(call.observed for call in calls)))


def make_costly(session: AsyncSession) -> None:
    """Let an export, before its first statement, use a connection for costly exports."""
    if session.in_transaction():
        raise RuntimeError("The export has a connection already.")
    engine: AsyncEngine = session.info[Work.COSTLY_EXPORTS]
    session.bind, session.sync_session.bind = engine, engine.sync_engine


async def commit(session: AsyncSession) -> None:
    """Commit the transaction of a request or job.

    Nothing else calls `AsyncSession.commit`; writes in autocommit are committed by PostgreSQL.
    """
    if session.in_transaction():
        await session.commit()


async def release(session: AsyncSession) -> None:
    """Release the connection; roll back unless it was committed."""
    if not session.in_transaction():
        return
    try:
        await session.close()
    except (DBAPIError, OSError):
        # The connection is lost, and with it the transaction.
        await session.invalidate()
