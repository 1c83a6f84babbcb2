"""A pool of connections for one kind of work, which reports waits."""

import asyncio
from asyncio import CancelledError
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from contextvars import ContextVar
from functools import cached_property
from time import monotonic
from typing import Any, cast

from sqlalchemy import event
from sqlalchemy.engine import Connection, ExceptionContext
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.pool import AsyncAdaptedQueuePool, PoolProxiedConnection
from sqlalchemy.util import await_only

from service.common.database.waits import note
from service.metrics import (
    CONNECTION_TIMEOUTS,
    CONNECTION_WAIT_SECONDS,
    DATABASE_ERRORS,
    count_limit,
)
from service.observed import OBSERVED, note_wait

# Whether the connection is for a statement that requests share.
IS_SHARED = ContextVar("is_shared", default=False)
# What a connection is waited for.
COMMIT = "a commit"
# SQLSTATEs of statements that waited in vain: lost connections, time-outs and locks.
GIVEN_UP = ("08", "57", "55P03")


class WorkPool(AsyncAdaptedQueuePool):
    """A pool that has a name and counts waiting requests.

    A request waits, inside `while_waiting`, if all connections are in use or being opened, not
    while its own is opened. Requests are served in the order of arrival: SQLAlchemy's own queue
    gives a released connection to a request that arrives at that moment, before waiting ones.
    Statements that requests share and others have a queue each, which are served alternately: many
    requests may wait for the former.
    """

    name = "connections"
    waiting = 0
    while_waiting: Callable[[], AbstractContextManager[None]] = nullcontext

    def connect(self) -> PoolProxiedConnection:
        """Wait for a connection and return it. Raises SQLAlchemy's TimeoutError."""
        full = self.checkedout() >= self.most()
        # If none is idle but one may be opened, the request does not wait.
        waits = full or (self.waiting > 0 and self.checkedin() > 0)
        since = monotonic()
        self.waiting += waits
        try:
            with self._in_turn() if waits else nullcontext():
                return super().connect()
        except PoolTimeoutError:
            waited = monotonic() - since
            CONNECTION_TIMEOUTS.labels(self.name).inc()
            count_limit("POOL_WAIT_SECONDS")
            raise PoolTimeoutError(f"waited {waited:.1f} s for a connection; {self}") from None
        except CancelledError as error:
            note(error, f"a connection; {self}", since)
            raise
        finally:
            if waits:
                self.waiting -= 1
                seconds = monotonic() - since
                CONNECTION_WAIT_SECONDS.labels(self.name).observe(seconds)
                note_wait(OBSERVED.get(), self.name, seconds)

    @cached_property
    def _turn(self) -> asyncio.Lock:
        """The lock of the request that gets the next released connection."""
        return asyncio.Lock()

    @cached_property
    def _queues(self) -> Mapping[bool, asyncio.Lock]:
        """The locks of those who wait for the turn next, by whether their statement is shared."""
        return {True: asyncio.Lock(), False: asyncio.Lock()}

    @cached_property
    def _seconds(self) -> float:
        """The total time-out of a request."""
        return self.timeout()

    @contextmanager
    def _in_turn(self) -> Iterator[None]:
        seconds, since = self._seconds, monotonic()
        with self.while_waiting(), ExitStack() as turns:
            await_only(self._take_turns(turns, seconds))
            try:
                # SQLAlchemy reads it for a wait in its queue, where only the lock's holder waits.
                self._timeout = max(0, seconds - (monotonic() - since))
                yield
            finally:
                self._timeout = seconds

    async def _take_turns(self, turns: ExitStack, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                for lock in (self._queues[IS_SHARED.get()], self._turn):
                    await lock.acquire()
                    turns.callback(lock.release)
        except TimeoutError as error:
            raise PoolTimeoutError from error

    def most(self) -> int:
        """Return the most connections that may be open."""
        # SQLAlchemy's `size()` leaves out the overflow.
        return self.size() + self._max_overflow

    def __str__(self) -> str:
        """Return the pool's state."""
        used = f"{self.checkedout()} of {self.most()} connections in use"
        return f"pool `{self.name}`: {used}, {self.waiting} waiting"


def watch_waits(engine: AsyncEngine) -> None:
    """Add to each error of a statement how long it ran, and the state of the pool."""
    target = engine.sync_engine
    event.listen(target, "before_cursor_execute", _begin_statement)
    event.listen(target, "commit", _begin_commit)
    event.listen(target, "handle_error", _handle_error)


def _begin_statement(connection: Connection, *_: Any) -> None:
    _info(connection)["awaited"] = "a statement", monotonic()


def _begin_commit(connection: Connection) -> None:
    _info(connection)["awaited"] = COMMIT, monotonic()


def began_at(connection: Connection) -> float:
    """Return when the last statement or commit of a connection began, a time of `monotonic`.

    If none did, as before a statement that can't be sent, it is now.
    """
    since: float = _info(connection).get("awaited", ("", monotonic()))[1]
    return since


def forget_commit(connection: Connection) -> bool:
    """Return whether a commit began last, and forget it: it has failed."""
    info = _info(connection)
    is_commit: bool = info.get("awaited", ("", 0))[0] == COMMIT
    if is_commit:
        del info["awaited"]
    return is_commit


def _handle_error(context: ExceptionContext) -> None:
    error, connection = context.original_exception, context.connection
    state = getattr(error, "sqlstate", None) or ""
    DATABASE_ERRORS.labels(state[:2] or failure_of(context)).inc()
    given_up = isinstance(error, CancelledError | TimeoutError) or state.startswith(GIVEN_UP)
    if given_up and connection is not None and not connection.invalidated:
        awaited, since = _info(connection).get("awaited", ("the database", monotonic()))
        note(error, f"{awaited}; {connection.engine.pool}", since)


def failure_of(context: ExceptionContext) -> str:
    """Return the SQLSTATE of a failure, or else its kind."""
    if state := getattr(context.original_exception, "sqlstate", None):
        return str(state)
    match context.original_exception:
        case CancelledError():
            return "canceled"
        case TimeoutError():
            return "timeout"
        case OSError():
            return "connection"
    return "connection" if context.is_disconnect else "other"


def _info(connection: Connection) -> dict[Any, Any]:
    # `connection.info` raises NotImplementedError while SQLAlchemy initializes the first connection
    # of an engine, and SQLAlchemy would handle that as a result.
    return cast("dict[Any, Any]", connection.connection.record_info)
