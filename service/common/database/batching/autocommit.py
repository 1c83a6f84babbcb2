"""Autocommit: single statements, each durable when it returns."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Hashable, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from time import monotonic
from typing import Any, TypeVar

from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession

from service.common.database.batching.batches import ABANDONED_SECONDS, BatchConnections, Batches
from service.common.database.batching.kinds import CostlyKinds, Deferred, similar
from service.common.database.sqlstates import changed_nothing, is_cancelled, is_locked, is_retryable
from service.common.database.waits import note
from service.metrics import count_limit

R = TypeVar("R")

NO_WRITE = "`reader()` is for reads only: use `session()`, a transaction, in a view that writes."
SECOND_WRITE = (
    "A second write would not be atomic with the first: use `session()`, a transaction, instead of"
    " `single_write()`."
)
MANY_ROWS = (
    "A write of many rows may be several statements: use `session()`, a transaction, instead of"
    " `single_write()`."
)

Sessions = Callable[[], AbstractAsyncContextManager[AsyncSession]]


class TooSlowError(Exception):
    """A read takes longer than a cheap one may."""


async def try_twice(statement: Callable[[], Awaitable[R]]) -> R:
    """Run a single statement, once more if it failed because of a concurrent transaction."""
    try:
        return await statement()
    except DBAPIError as error:
        if not is_retryable(error):
            raise
    return await statement()


class Autocommit:
    """Runs single statements for all requests of an application.

    A statement takes one round trip: no BEGIN, no COMMIT. Only a `SingleWrite` accepts writes; in
    textual SQL and in a SELECT they are not detected.
    A statement that failed because of a concurrent transaction is tried once more.
    """

    is_repeatable = True

    def __init__(  # noqa: PLR0913  # By name: the sessions that it hands work on to.
        self,
        connections: BatchConnections,
        *,
        blocked: Sessions | None = None,
        costly: "Autocommit | None" = None,
        reads: "Autocommit | None" = None,
        pages: "Autocommit | None" = None,
        searches: "Autocommit | None" = None,
        cheap: str = "",
    ) -> None:
        """Create it with connections for statements, and the sessions for some kinds of reads.

        A statement that fails because another transaction holds a lock is repeated on a connection
        of `blocked`, where it waits for the lock. `costly` runs statements whose cost grows with
        the table, `reads` those by id. `cheap` is the limit of the time that a statement takes
        here, if there is one: one that was cancelled for it is repeated by `costly`.
        """
        self._connections = connections
        self._blocked = blocked
        self.costly = costly or self
        self.reads, self.pages, self.searches = reads or self, pages or self, searches or self
        self._cheap = cheap
        self.batches = Batches(connections)
        self.costly_kinds = CostlyKinds()

    @asynccontextmanager
    async def hold(self) -> AsyncIterator[AsyncSession]:
        """Return a connection for several statements, each in autocommit."""
        with self._connections.waiting():
            async with self._connections.session() as session:
                yield session

    async def share(
        self,
        attempts: Iterable[tuple[Hashable, Hashable]],
        call: "Callable[[Autocommit, Hashable, Hashable], Awaitable[R]]",
    ) -> R:
        """Return the result of a read that calls may share.

        An attempt is a pair: calls of the same part may share a statement; reads of the same kind
        are expected to cost the same (None is not remembered). If an attempt takes longer than a
        cheap read may, the next one follows, and at last a costly read. For some seconds reads of
        the same kind then skip this attempt.
        """
        for part, kind in attempts:
            if kind in self.costly_kinds:
                continue
            try:
                return await call(self, part, kind)
            except TooSlowError:
                continue
            except DBAPIError as error:
                # A new connection may take too long before the statement is sent.
                if not self.was_too_slow(error):
                    raise
        return await call(self.costly, None, None)

    async def run_in_time(self, kind: Hashable, statement: Callable[[], Awaitable[R]]) -> R:
        """Run the statement of a shared read. Raises TooSlowError, and remembers it."""
        if kind in self.costly_kinds:
            # Since the read began to wait for its connection.
            raise TooSlowError
        try:
            return await try_twice(statement)
        except DBAPIError as error:
            if not self.was_too_slow(error):
                raise
            self.costly_kinds.add(kind)
            raise TooSlowError from error

    def was_too_slow(self, error: BaseException) -> bool:
        """Return whether a statement was cancelled for the limit of cheap ones, and count it."""
        is_too_slow = bool(self._cheap) and isinstance(error, DBAPIError) and is_cancelled(error)
        if is_too_slow:
            count_limit(self._cheap)
        return is_too_slow

    async def execute(self, *args: Any, **options: Any) -> Any:
        """Run a statement and return its result."""
        return await self._run(AsyncSession.execute, args, options)

    async def scalar(self, *args: Any, **options: Any) -> Any:
        """Run a statement and return its first value."""
        return await self._run(AsyncSession.scalar, args, options)

    async def scalars(self, *args: Any, **options: Any) -> Any:
        """Run a statement and return the first value of each row."""
        return await self._run(AsyncSession.scalars, args, options)

    def begin_write(self) -> None:
        """Raise RuntimeError: this session is for reads."""
        raise RuntimeError(NO_WRITE)

    def forget_write(self, *, is_tried: bool = False) -> None:
        """Allow the write to be done in another way: it changed nothing.

        If it `is_tried`, because it was in a batch that failed because of a concurrent transaction,
        the other way is its second and last try.
        """

    async def _run(self, run: Any, args: Any, options: Any) -> Any:
        if not getattr(args[0], "is_dml", False):
            return await self._run_retried(run, args, options)
        has_rows = isinstance(args[1] if args[1:] else options.get("params"), list)
        if has_rows:
            raise RuntimeError(MANY_ROWS)
        self.begin_write()
        try:
            return await self._run_retried(run, args, options)
        except DBAPIError as error:
            if changed_nothing(error):
                self.forget_write()
            raise

    async def _run_retried(self, run: Any, args: Any, options: Any) -> Any:
        statement = partial(self._run_once, run, args, options)
        return await (try_twice(statement) if self.is_repeatable else statement())

    async def _run_once(self, run: Any, args: Any, options: Any) -> Any:
        """Run a statement; if it takes too long, again as a costly one.

        For some seconds similar statements of the same client are then costly from the start: a
        client with many must not hold these connections.
        """
        kind = similar(args[0])
        try:
            if kind not in self.costly_kinds:
                async with self.hold() as session:
                    await session.connection()
                    # A similar one may have been too slow while this one waited.
                    if kind not in self.costly_kinds:
                        return await self._complete(run(session, *_built(*args), **options))
        except DBAPIError as error:
            if self.was_too_slow(error):
                self.costly_kinds.add(kind)
            elif self._blocked is not None and is_locked(error):
                async with self._blocked() as session:
                    return await run(session, *args, **options)
            else:
                raise
        return await self.costly._run_once(run, args, options)  # noqa: SLF001  # Of this class.

    async def _complete(self, statement: Coroutine[Any, Any, R]) -> R:
        """Return the result of a statement, which goes on for a moment if its request is cancelled.

        To cancel a statement costs its connection: a client that leaves again and again would cost
        others the time in which new ones are opened.
        """
        since = monotonic()
        task = asyncio.create_task(statement)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError as error:
            note(error, f"a statement; {self._connections.state()}", since)
            try:
                await asyncio.wait([task], timeout=ABANDONED_SECONDS)
            finally:
                task.cancel()
                # The connection is in use until then; nobody waits for an error.
                await asyncio.gather(task, return_exceptions=True)
            raise


def _built(statement: Any, *rest: Any) -> tuple[Any, ...]:
    return statement.build() if isinstance(statement, Deferred) else statement, *rest


class SingleWrite(Autocommit):
    """Runs the only write of a request, durable when it returns, and any reads.

    Writes in textual SQL, in a SELECT or by functions of PostgreSQL are not detected.
    """

    def __init__(self, shared: Autocommit) -> None:
        """Create it with the connections, batches and costly kinds that all requests share."""
        vars(self).update(vars(shared))
        self.has_written = False

    def begin_write(self) -> None:
        """Count the write. Raises RuntimeError if it is the second."""
        if self.has_written:
            raise RuntimeError(SECOND_WRITE)
        self.has_written = True

    def forget_write(self, *, is_tried: bool = False) -> None:
        """Allow the write to be done in another way: it changed nothing."""
        self.has_written = False
        self.is_repeatable = not is_tried


# What statements are sent to: a transaction, or autocommit.
Session = AsyncSession | Autocommit
