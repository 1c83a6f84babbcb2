"""The batches of an application: statements in flight, and the calls that wait for them."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Hashable, Mapping
from contextlib import AbstractAsyncContextManager, AbstractContextManager, nullcontext
from contextvars import Context
from dataclasses import dataclass, field
from functools import partial
from time import monotonic
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from service.common.database.waits import note

# The maximum number of keys that share a statement.
MOST = 256
# How long calls wait for a statement before another one is sent concurrently.
SLOW_SECONDS = 1
# The value of a call that shares its result with calls of the same key.
SHARED = object()

Run = Callable[[AsyncSession, Mapping[Any, Any]], Awaitable[Mapping[Any, Any]]]


@dataclass(frozen=True, slots=True)
class Connections:
    """How to get a session, whether others can still get one, and the state for the log.

    Callers wait for a result inside `waiting`.
    """

    session: Callable[[], AbstractAsyncContextManager[AsyncSession]]
    has_room: Callable[[], bool] = lambda: True
    state: Callable[[], str] = lambda: "no pool"
    waiting: Callable[[], AbstractContextManager[None]] = nullcontext


@dataclass(slots=True, eq=False)
class Flight:
    """A session with a statement in flight, and the calls of that statement."""

    aboard: list["Call"] = field(default_factory=list)
    task: asyncio.Task[None] | None = None


@dataclass(slots=True, eq=False)
class Call:
    """A call: its key and value, its result, and the flight that it is part of."""

    key: Any
    value: Any
    result: asyncio.Future[Any]
    flight: Flight | None = None


class Batch:
    """Calls that may share a statement, waiting for the one in flight to return."""

    def __init__(self, run: Run, connections: Connections, forget: Callable[[], object]) -> None:
        self._run, self._connections, self._forget = run, connections, forget
        self._waiting: list[Call] = []
        self._flight: Flight | None = None

    async def call(self, key: Any, value: Any) -> Any:
        """Return the result of one call."""
        since = monotonic()
        call = Call(key, value, asyncio.get_running_loop().create_future())
        self._waiting.append(call)
        if self._flight is None:
            self._start()
        try:
            with self._connections.waiting():
                return await call.result
        except asyncio.CancelledError as error:
            awaited = "a shared statement" + ("" if call.flight else " that was not sent yet")
            note(error, f"{awaited}; {self._connections.state()}", since)
            flight = call.flight or self._flight
            if flight and all(one.result.done() for one in flight.aboard or self._waiting):
                # All callers were cancelled.
                flight.task.cancel()  # type: ignore[union-attr]  # Set since its start.
            raise

    def _start(self) -> None:
        flight = self._flight = Flight()
        # In a context of its own, because it is not part of the first request.
        loop = asyncio.get_running_loop()
        flight.task = loop.create_task(self._fly(flight), context=Context())
        flight.task.add_done_callback(partial(self._land, flight))

    async def _fly(self, flight: Flight) -> None:
        async with self._connections.session() as session:
            # More calls may arrive until there is a connection.
            await session.connection()
            loop = asyncio.get_running_loop()
            slow = loop.call_later(SLOW_SECONDS, self._go_on_without, flight)
            try:
                while values := self._board(flight):
                    found = await self._run(session, values)
                    for call in flight.aboard:
                        if not call.result.done():
                            call.result.set_result(found.get(call.key))
                    # The next statement must not see cached records.
                    session.expunge_all()
                    if self._flight is not flight or not self._connections.has_room():
                        break  # Another flight continues, or others wait for the connection.
            finally:
                slow.cancel()

    def _board(self, flight: Flight) -> dict[Any, Any]:
        """Take waiting calls into a flight, and return their values by key."""
        values: dict[Any, Any] = {}
        flight.aboard, left = [], []
        for call in self._waiting:
            if len(values) == MOST or (call.key in values and call.value is not SHARED):
                left.append(call)
            elif not call.result.done():
                values[call.key] = call.value
                flight.aboard.append(call)
                call.flight = flight
        self._waiting = left
        return values

    def _land(self, flight: Flight, task: asyncio.Task[None]) -> None:
        """Pass an error to the calls of a flight, and start the next one."""
        error = None if task.cancelled() else task.exception()
        # If it failed before it took calls, all waiting calls fail.
        waiting = self._waiting if self._flight is flight else []
        for call in flight.aboard or waiting:
            if error is not None and not call.result.done():
                call.result.set_exception(error)
        self._go_on_without(flight)

    def _go_on_without(self, flight: Flight) -> None:
        """Start another flight for the waiting calls, unless there is one already."""
        if self._flight is not flight:
            return
        self._flight = None
        self._waiting = [call for call in self._waiting if not call.result.done()]
        if self._waiting:
            self._start()
        else:
            self._forget()


class Batches:
    """The batches of an application; calls of the same `group` may share a statement."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self._batches: dict[Hashable, Batch] = {}

    def call(
        self, group: Hashable, run: Run, key: Any, value: Any = SHARED
    ) -> Coroutine[Any, Any, Any]:
        """Return the result of `run` for the key, or None; `run` has its session to itself."""
        batch = self._batches.get(group)
        if batch is None:
            forget = partial(self._batches.pop, group)
            batch = self._batches[group] = Batch(run, self._connections, forget)
        return batch.call(key, value)
