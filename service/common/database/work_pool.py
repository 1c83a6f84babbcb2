"""A pool of connections for one kind of work, which reports waits."""

import asyncio
from asyncio import CancelledError
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from contextvars import ContextVar
from functools import cached_property, partial
from time import monotonic
from typing import Any, cast

from asyncpg import InterfaceError, InternalClientError
from sqlalchemy import event
from sqlalchemy.engine import Connection, ExceptionContext
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.pool import AsyncAdaptedQueuePool, ConnectionPoolEntry, PoolProxiedConnection
from sqlalchemy.util import await_only

from service import limits
from service.client import CLIENT
from service.common.database.waits import note
from service.metrics import (
    CONNECTION_TIMEOUTS,
    CONNECTION_WAIT_SECONDS,
    DATABASE_ERRORS,
    count_limit,
)
from service.observed import OBSERVED, note_wait
from service.places import Clients, Places

# The clients whose requests share the statement of a task.
SHARED_BY: ContextVar[Clients | None] = ContextVar("SHARED_BY", default=None)
# The key, in a connection's record, of the function that gives up its place.
LEAVE = "leave"
# What a connection is waited for.
COMMIT = "a commit"
CLIENT_WAITING = limits.CLIENT_WAITING.value
# SQLSTATEs of statements that waited in vain: lost connections, time-outs and locks.
GIVEN_UP = ("08", "57", "55P03")


class ShareError(PoolTimeoutError):
    """A client has its share of the connections."""


class WorkPool(AsyncAdaptedQueuePool):
    """A pool that has a name, counts waiting requests, and serves clients as `Places` does.

    A request waits, inside `while_waiting`, if all connections are in use or being opened, not
    while its own is opened. A client has at most `share` connections. Statements that requests
    share and others are served alternately: many requests may wait for the former. (SQLAlchemy's
    own queue gives a released connection to a request that arrives at that moment, before waiting
    ones.)
    """

    name = "connections"
    share: int | None = None
    while_waiting: Callable[[], AbstractContextManager[None]] = nullcontext

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        event.listen(self, "checkin", _leave)
        # Of a connection that was not released before the garbage collector found it.
        event.listen(self, "detach", _leave)

    @cached_property
    def places(self) -> Places:
        """The connections that may be used."""
        return Places(self.most(), self.share)

    @property
    def waiting(self) -> int:
        """How many requests, or shared statements, wait for a connection."""
        return len(self.places)

    def connect(self) -> PoolProxiedConnection:
        """Wait for a connection and return it. Raises SQLAlchemy's TimeoutError."""
        shared_by = SHARED_BY.get()
        clients = shared_by or Clients(CLIENT.get())
        client = self.places.take(clients)
        if client is None:
            client = self._wait(clients, is_shared=shared_by is not None)
        try:
            connection = super().connect()
        except BaseException:
            self.places.release(client)
            raise
        # Shared statements are for many clients, and take a short time.
        since = None if shared_by else monotonic()
        info = cast("dict[Any, Any]", connection.record_info)
        info[LEAVE] = partial(self._release, client, since)
        return connection

    def _release(self, client: str, since: float | None) -> None:
        if since is not None:
            self.places.charge(client, monotonic() - since)
        self.places.release(client)

    def _wait(self, clients: Clients, *, is_shared: bool) -> str:
        if self._has_its_share(clients) and self._many_wait(clients):
            count_limit("CLIENT_SHARE")
            raise ShareError(f"other requests of the client wait; {self}")
        since = monotonic()
        try:
            with self.while_waiting():
                client: str = await_only(self._wait_in_time(clients, is_shared))
                return client
        except TimeoutError:
            waited = monotonic() - since
            cause = f"waited {waited:.1f} s for a connection; {self}"
            if self._has_its_share(clients):
                count_limit("CLIENT_SHARE")
                raise ShareError(cause) from None
            CONNECTION_TIMEOUTS.labels(self.name).inc()
            count_limit("POOL_WAIT_SECONDS")
            raise PoolTimeoutError(cause) from None
        except CancelledError as error:
            note(error, f"a connection; {self}", since)
            raise
        finally:
            seconds = monotonic() - since
            CONNECTION_WAIT_SECONDS.labels(self.name).observe(seconds)
            note_wait(OBSERVED.get(), self.name, seconds)

    def _has_its_share(self, clients: Clients) -> bool:
        return all(self.places.remaining(client) <= 0 for client in clients)

    def _many_wait(self, clients: Clients) -> bool:
        return all(self.places.waiting(client) >= CLIENT_WAITING for client in clients)

    async def _wait_in_time(self, clients: Clients, is_shared: bool) -> str:
        async with asyncio.timeout(self.timeout()):
            return await self.places.wait(clients, is_shared)

    def most(self) -> int:
        """Return the most connections that may be open."""
        # SQLAlchemy's `size()` leaves out the overflow.
        return self.size() + self._max_overflow

    def __str__(self) -> str:
        """Return the pool's state."""
        share = f" (one client: at most {self.share})" if self.share else ""
        used = f"{self.checkedout()} of {self.most()} connections in use{share}"
        return f"pool `{self.name}`: {used}, {self.waiting} others waiting"


def _leave(_: Any, record: ConnectionPoolEntry) -> None:
    leave = cast("dict[Any, Any]", record.record_info).pop(LEAVE, None)
    if leave is not None:
        leave()


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
    DATABASE_ERRORS.labels(class_of(error, is_disconnect=context.is_disconnect)).inc()
    given_up = isinstance(error, CancelledError | TimeoutError) or state.startswith(GIVEN_UP)
    if given_up and connection is not None and not connection.invalidated:
        awaited, since = _info(connection).get("awaited", ("the database", monotonic()))
        note(error, f"{awaited}; {connection.engine.pool}", since)


def failure_of(error: BaseException, *, is_disconnect: bool = False) -> str:
    """Return the SQLSTATE of a failure, or else its kind."""
    if state := getattr(error, "sqlstate", None):
        return str(state)
    match error:
        case CancelledError():
            return "canceled"
        case TimeoutError():
            return "timeout"
        case OSError() | InterfaceError() | InternalClientError():
            return "connection"
    return "connection" if is_disconnect else "other"


def class_of(error: BaseException, *, is_disconnect: bool = False) -> str:
    """Return the class of the SQLSTATE of a failure, or else its kind."""
    failure = failure_of(error, is_disconnect=is_disconnect)
    return failure[:2] if getattr(error, "sqlstate", None) else failure


def _info(connection: Connection) -> dict[Any, Any]:
    # `connection.info` raises NotImplementedError while SQLAlchemy initializes the first connection
    # of an engine, and SQLAlchemy would handle that as a result.
    return cast("dict[Any, Any]", connection.connection.record_info)
