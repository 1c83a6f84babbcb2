"""The batches of an application: what a connection is asked for, and who waits for the answer."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Hashable, Mapping
from contextlib import AbstractAsyncContextManager
from contextvars import Context
from functools import partial
from typing import Any, NamedTuple

from sqlalchemy.ext.asyncio import AsyncSession

# How many keys share a statement at most.
MOST = 256
# The value of a call that shares its result with others of the same key.
SHARED = object()

Run = Callable[[AsyncSession, Mapping[Any, Any]], Awaitable[Mapping[Any, Any]]]
Sessions = Callable[[], AbstractAsyncContextManager[AsyncSession]]


class Call(NamedTuple):
    """Who asks for what, and where the result goes."""

    key: Any
    value: Any
    result: asyncio.Future[Any]


class Batch:
    """Calls that may share a statement: those in flight, and those that wait for its return."""

    def __init__(self, run: Run, sessions: Sessions, forget: Callable[[], object]) -> None:
        self._run, self._sessions, self._forget = run, sessions, forget
        self._waiting: list[Call] = []
        self._aboard: list[Call] = []
        self._flight: asyncio.Task[None] | None = None

    async def call(self, key: Any, value: Any) -> Any:
        """Return the result of one call."""
        call = Call(key, value, asyncio.get_running_loop().create_future())
        self._waiting.append(call)
        self._start()
        try:
            return await call.result
        except asyncio.CancelledError:
            if self._flight and all(one.result.done() for one in self._aboard + self._waiting):
                self._flight.cancel()  # All who asked have gone.
            raise

    def _start(self) -> None:
        if self._flight is None and self._waiting:
            # In a context of its own, for it is no part of the request that comes first.
            loop = asyncio.get_running_loop()
            self._flight = loop.create_task(self._fly(), context=Context())
            self._flight.add_done_callback(self._land)

    async def _fly(self) -> None:
        async with self._sessions() as session:
            # Until there is a connection, more may come.
            await session.connection()
            while values := self._board():
                found = await self._run(session, values)
                for call in self._aboard:
                    if not call.result.done():
                        call.result.set_result(found.get(call.key))
                # What the next statement finds is not what this one found.
                session.expunge_all()

    def _board(self) -> dict[Any, Any]:
        """Take those who wait, and return their values by key."""
        values: dict[Any, Any] = {}
        self._aboard, left = [], []
        for call in self._waiting:
            if len(values) == MOST or (call.key in values and call.value is not SHARED):
                left.append(call)
            elif not call.result.done():
                values[call.key] = call.value
                self._aboard.append(call)
        self._waiting = left
        return values

    def _land(self, flight: asyncio.Task[None]) -> None:
        """Tell those who still wait for it what went wrong, and start again for the next."""
        error = None if flight.cancelled() else flight.exception()
        # Where it did not get as far as boarding, all have waited for it.
        for call in self._aboard or self._waiting:
            if error is not None and not call.result.done():
                call.result.set_exception(error)
        self._waiting = [call for call in self._waiting if not call.result.done()]
        self._aboard, self._flight = [], None
        self._start()
        if self._flight is None:
            self._forget()


class Batches:
    """The batches of one application, by what may share a statement."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions
        self._batches: dict[Hashable, Batch] = {}

    def call(
        self, group: Hashable, run: Run, key: Any, value: Any = SHARED
    ) -> Coroutine[Any, Any, Any]:
        """Return what `run` has under the key, or None; its sessions are for it alone."""
        batch = self._batches.get(group)
        if batch is None:
            forget = partial(self._batches.pop, group)
            batch = self._batches[group] = Batch(run, self._sessions, forget)
        return batch.call(key, value)
