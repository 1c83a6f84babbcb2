"""Batching: calls that arrive while a statement is in flight share the next statement.

No call joins a statement that was sent before the call arrived: a request sees what was committed
before it. If no statement is in flight, a call is sent immediately. In a transaction nothing is
shared: each call runs alone, and sees its transaction's changes.

What a client may see must depend only on the arguments: calls with equal arguments share a result.
"""

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from functools import wraps
from typing import Any, TypeVar, TypeVarTuple

from sqlalchemy.ext.asyncio import AsyncSession

from service.common.database.batching.autocommit import Autocommit, Session
from service.common.database.batching.kinds import Deferred
from service.common.database.sqlstates import changed_nothing, is_retryable

# Into how many parts the keys are divided if one statement for all takes too long.
KEY_PARTS = 16

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")
R = TypeVar("R")
A = TypeVarTuple("A")


class Costed(ABC):
    """An argument of a shared read that tells what the read costs."""

    __slots__ = ()

    @property
    @abstractmethod
    def kind(self) -> Hashable:
        """The key of the arguments with which the read costs about the same."""


def batched(
    run: Callable[[AsyncSession, Sequence[K], *A], Awaitable[Mapping[K, R]]],
) -> Callable[[Session, K, *A], Awaitable[R | None]]:
    """Turn a read of many keys into one of a single key, which returns None if it is not found.

    Calls whose other arguments are equal share a statement, and with the same key its result. Those
    with arguments that are `Costed` and of the same kind are expected to cost the same. If none is,
    a statement of many keys that takes too long is repeated in parts, so that one key does not
    delay all others.
    """

    @wraps(run)
    async def read(session: Session, key: K, *args: *A) -> R | None:
        if not isinstance(session, Autocommit):
            return (await run(session, [key], *args)).get(key)

        def call(autocommit: Autocommit, part: Hashable, kind: Hashable) -> Awaitable[R | None]:
            async def run_calls(connection: AsyncSession, calls: Iterable[K]) -> Mapping[K, R]:
                return await autocommit.run_in_time(kind, lambda: run(connection, [*calls], *args))

            return autocommit.batches.call((run, args, part), run_calls, key)

        return await session.reads.share(_attempts(run, key, args), call)

    return read


def _attempts(
    run: object, key: Hashable, args: tuple[object, ...]
) -> Iterator[tuple[Hashable, Hashable]]:
    """Return the parts and kinds that are tried in order."""
    kinds = tuple([one.kind for one in args if isinstance(one, Costed)])
    if kinds:
        yield None, (run, kinds)
    elif key is None:
        yield None, None
    else:
        yield None, run
        part = hash(key) % KEY_PARTS
        yield part, (run, part)


def shared(
    run: Callable[[AsyncSession, *A], Awaitable[R]],
) -> Callable[[Session, *A], Awaitable[R]]:
    """Share the result of a read among concurrent calls with equal arguments."""

    async def read_once(session: AsyncSession, keys: Sequence[None], *args: Any) -> dict[None, R]:
        return dict.fromkeys(keys, await run(session, *args))

    read: Any = batched(read_once)

    @wraps(run)
    async def read_shared(session: Session, *args: *A) -> R:
        found: R = await read(session, None, *args)
        return found

    return read_shared


def costly(session: Session) -> Session:
    """Return the session for a read whose cost grows with the table.

    Such reads have connections of their own, so that they delay only each other. In a
    transaction it is the transaction's session.
    """
    return session.costly if isinstance(session, Autocommit) else session


def paging(session: Session) -> Session:
    """Return the session for a page; in a transaction it is the transaction's session."""
    return session.pages if isinstance(session, Autocommit) else session


def searching(session: Session) -> Session:
    """Return the session for a search; in a transaction it is the transaction's session."""
    return session.searches if isinstance(session, Autocommit) else session


async def execute_deferred(
    session: Session, build: Callable[[], Any], kind: Hashable, values: Mapping[str, Any]
) -> Any:
    """Execute a read that is built when it has a connection, and return its result.

    A client's reads of the same kind are expected to cost the same.
    """
    statement: Any = Deferred(build, kind) if isinstance(session, Autocommit) else build()
    return await session.execute(statement, values)


def hold_costly(session: Session) -> AbstractAsyncContextManager[AsyncSession]:
    """Return a connection for several reads, which wait for it only once."""
    costly_session = costly(session)
    if isinstance(costly_session, Autocommit):
        return costly_session.hold()
    return nullcontext(costly_session)


def batched_write(
    run: Callable[[AsyncSession, Mapping[K, V], *A], Awaitable[Mapping[K, R]]],
    size: Callable[[V], int],
) -> Callable[[Session, K, V, *A], Awaitable[R | None]]:
    """Turn a write of many values, each under a key, into one of a single value.

    The sizes of one client's values bound how many of them share a statement.

    It returns None if the value must be written alone: in a transaction, if the write skipped the
    key, or if the statement failed, because no call may fail because of another call's record. Of
    two calls with one key the second waits.
    """

    @wraps(run)
    async def write(session: Session, key: K, value: V, *args: *A) -> R | None:
        if not isinstance(session, Autocommit):
            return None
        session.begin_write()
        done: R | None
        is_tried = False
        try:
            done = await session.batches.call(
                (run, args),
                lambda one, calls: run(one, calls, *args),
                key,
                value,
                size(value),
            )
        except Exception as error:
            if not changed_nothing(error):
                raise
            session.was_too_slow(error)
            done, is_tried = None, is_retryable(error)
        if done is None:
            session.forget_write(is_tried=is_tried)
        return done

    return write
