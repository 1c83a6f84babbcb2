"""The batches of an application: statements in flight, and the calls that wait for them."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Hashable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager, nullcontext
from contextvars import Context
from dataclasses import dataclass, field
from functools import partial
from operator import itemgetter
from time import monotonic
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from service import limits
from service.client import CLIENT
from service.common.database.batching.slow_clients import SlowClients
from service.common.database.waits import note
from service.common.database.work_pool import SHARED_BY
from service.observed import OBSERVED, Observed
from service.places import Clients

# The maximum number of keys that share a statement.
MAX_KEYS = 256
# The maximum total size of one client's calls that share a statement. Its other calls wait, so that
# those of other clients do not.
SHARED_SIZE = limits.SHARED_CHARACTERS.value
# The maximum number of calls that are resumed in one iteration of the event loop.
MOST_AT_ONCE = 32
# How long calls wait for a statement before another one is sent concurrently.
NEXT_STATEMENT_SECONDS = 1
# How long a statement in flight goes on after its callers were cancelled. Most end within this
# time; to cancel one costs its connection, and a client that leaves again and again would cost
# others the time in which new ones are opened.
ABANDONED_SECONDS = 0.1
# The value of a call that shares its result with calls of the same key.
SHARED = object()

Run = Callable[[AsyncSession, Mapping[Any, Any]], Awaitable[Mapping[Any, Any]]]


@dataclass(frozen=True, slots=True)
class BatchConnections:
    """How to get a session, whether others can still get one, and the state for the log.

    Callers wait for a result inside `waiting`. Each of `when_sent` is called when a statement is
    sent, in its task, with the calls that share it.
    """

    session: Callable[[], AbstractAsyncContextManager[AsyncSession]]
    has_free_connection: Callable[[], bool] = lambda: True
    state: Callable[[], str] = lambda: "no pool"
    waiting: Callable[[], AbstractContextManager[None]] = nullcontext
    when_sent: Sequence[Callable[[Sequence["Call"]], None]] = ()


@dataclass(slots=True, eq=False)
class Execution:
    """A session with a statement in flight, and the calls of that statement.

    Until it has a connection, `clients` are those of the calls that wait.
    """

    clients: Clients
    calls: list["Call"] = field(default_factory=list)
    task: asyncio.Task[None] | None = None


@dataclass(slots=True, eq=False)
class Call:
    """A call: its key, value, size and beginning, its result, the execution that it is part of.

    And the client and the request that it is for, if that is observed.
    """

    key: Any
    value: Any
    size: int
    since: float
    result: asyncio.Future[Any]
    execution: Execution | None = None
    client: str = field(default_factory=CLIENT.get)
    observed: Sequence[Observed] = field(default_factory=OBSERVED.get)


class Batch:
    """Calls that may share a statement, waiting for the one in flight to return."""

    def __init__(
        self,
        run: Run,
        connections: BatchConnections,
        slow_clients: SlowClients,
        forget: Callable[[], object],
    ) -> None:
        self._run, self._connections, self._forget = run, connections, forget
        self._slow_clients = slow_clients
        self._waiting: list[Call] = []
        self._current: Execution | None = None
        # The clients whose writes waited for the last statement, and the number of their last one.
        self._served: dict[str, int] = {}
        self._statements = 0

    async def call(self, key: Any, value: Any, size: int) -> Any:
        """Return the result of one call."""
        since = monotonic()
        call = Call(key, value, size, since, asyncio.get_running_loop().create_future())
        self._waiting.append(call)
        if self._current is None:
            self._start()
        elif not self._current.calls:
            self._current.clients.add(call.client)
        try:
            with self._connections.waiting():
                return await call.result
        except asyncio.CancelledError as error:
            awaited = "a shared statement" + ("" if call.execution else " that was not sent yet")
            note(error, f"{awaited}; {self._connections.state()}", since)
            if sent := call.execution:
                later = asyncio.get_running_loop().call_later
                later(ABANDONED_SECONDS, _cancel_if_abandoned, sent, sent.calls)
            elif self._current and not self._current.calls:
                _cancel_if_abandoned(self._current, self._waiting)
            raise

    def _start(self) -> None:
        clients = Clients(self._waiting[0].client)
        for call in self._waiting:
            clients.add(call.client)
        execution = self._current = Execution(clients)
        # In a context of its own, because it is not part of the first request.
        loop = asyncio.get_running_loop()
        execution.task = loop.create_task(self._execute(execution), context=Context())
        execution.task.add_done_callback(partial(self._finish, execution))

    async def _execute(self, execution: Execution) -> None:
        SHARED_BY.set(execution.clients)  # For this task alone.
        async with self._connections.session() as session:
            # More calls may arrive until there is a connection.
            await session.connection()
            loop = asyncio.get_running_loop()
            slow = loop.call_later(NEXT_STATEMENT_SECONDS, self._start_next, execution)
            try:
                while values := self._take_waiting(execution):
                    for tell in self._connections.when_sent:
                        tell(execution.calls)
                    found = await self._run_and_learn(session, values, execution.calls)
                    for number, call in enumerate(execution.calls, 1):
                        if not call.result.done():
                            call.result.set_result(found.get(call.key))
                        if number % MOST_AT_ONCE == 0:
                            # Let these write their responses before more are resumed.
                            await asyncio.sleep(0)
                    # The next statement must not see cached records.
                    session.expunge_all()
                    has_free_connection = self._connections.has_free_connection
                    if self._current is not execution or not has_free_connection():
                        break  # Another execution continues, or others wait for the connection.
            finally:
                slow.cancel()

    async def _run_and_learn(
        self, session: AsyncSession, values: Mapping[Any, Any], calls: Sequence[Call]
    ) -> Mapping[Any, Any]:
        """Return what a statement gives; of writes, learn how long they took."""
        since = monotonic()
        try:
            return await self._run(session, values)
        finally:
            if calls[0].value is not SHARED:
                clients = [call.client for call in calls]
                self._slow_clients.learn(clients, monotonic() - since)

    def _take_waiting(self, execution: Execution) -> dict[Any, Any]:
        """Take waiting calls into an execution, and return their values by key."""
        values: dict[Any, Any] = {}
        # The number and the sizes of each client's writes.
        taken: dict[str, tuple[int, int]] = {}
        execution.calls, left = [], []
        for call in self._in_turn():
            is_write = call.value is not SHARED
            count, size = taken.get(call.client, (0, 0))
            limit = self._slow_clients.limit(call.client) if count and is_write else None
            is_beyond = count and (size + call.size > SHARED_SIZE or count == limit)
            is_twin = is_write and call.key in values
            if is_beyond or is_twin or len(values) == MAX_KEYS:
                left.append(call)
            elif not call.result.done():
                taken[call.client] = count + 1, size + call.size
                values[call.key] = call.value
                execution.calls.append(call)
                call.execution = execution
        self._waiting = left
        # It is empty for reads.
        if self._served:
            self._statements += 1
            self._served.update(dict.fromkeys(taken, self._statements))
        return values

    def _in_turn(self) -> list[Call]:
        """Return the waiting calls; of writes, the first one of each client before the second ones.

        Of two with the same key the first one is taken, so many calls of one client must not be
        taken before those of others.
        """
        if self._waiting and self._waiting[0].value is SHARED:
            return self._waiting
        numbers: Counter[str] = Counter()
        found: list[tuple[int, int, Call]] = []
        # One that comes has its turn after those that have waited for more than a statement.
        newest = self._statements - 1
        for call in self._waiting:
            numbers[call.client] += 1
            found.append((numbers[call.client], self._served.get(call.client, newest), call))
        found.sort(key=itemgetter(0, 1))
        self._served = {client: self._served.get(client, newest) for client in numbers}
        return [call for _, _, call in found]

    def _finish(self, execution: Execution, task: asyncio.Task[None]) -> None:
        """Pass an error to the calls of an execution, and start the next one."""
        error = None if task.cancelled() else task.exception()
        # If it failed before it took calls, all waiting calls fail.
        waiting = self._waiting if self._current is execution else []
        for call in execution.calls or waiting:
            if error is not None and not call.result.done():
                call.result.set_exception(error)
        self._start_next(execution)

    def _start_next(self, execution: Execution) -> None:
        """Start another execution for the waiting calls, unless there is one already."""
        if self._current is not execution:
            return
        self._current = None
        self._waiting = [call for call in self._waiting if not call.result.done()]
        if self._waiting:
            self._start()
        else:
            self._forget()


def _cancel_if_abandoned(execution: Execution, calls: list[Call]) -> None:
    """Cancel an execution whose calls are these, or not known yet, if all were cancelled."""
    is_theirs = not execution.calls or execution.calls is calls
    if is_theirs and all(call.result.cancelled() for call in calls):
        execution.task.cancel()  # type: ignore[union-attr]  # Set since its start.


class Batches:
    """The batches of an application; calls of the same `group` may share a statement."""

    def __init__(self, connections: BatchConnections) -> None:
        self._connections = connections
        self._slow_clients = SlowClients()
        self._batches: dict[Hashable, Batch] = {}

    def call(
        self, group: Hashable, run: Run, key: Any, value: Any = SHARED, size: int = 0
    ) -> Coroutine[Any, Any, Any]:
        """Return the result of `run` for the key, or None; `run` has its session to itself.

        The sizes of one client's calls bound how many of them share a statement.
        """
        if value is not SHARED and self._slow_clients.is_separate(client := CLIENT.get()):
            group = group, client
        batch = self._batches.get(group)
        if batch is None:
            forget = partial(self._batches.pop, group)
            batch = Batch(run, self._connections, self._slow_clients, forget)
            self._batches[group] = batch
        return batch.call(key, value, size)
