"""Which calls share a statement, and which never do: over statements that a test lets return."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any, cast

import asyncpg
import pytest
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from service.client import CLIENT
from service.common.database.batching import (
    Costed,
    batched,
    batched_write,
    batches,
    execute_deferred,
    shared,
    slow_clients,
)
from service.common.database.batching.autocommit import Autocommit, SingleWrite
from service.common.database.batching.batches import MAX_KEYS, MOST_AT_ONCE, BatchConnections

TRANSACTION = cast("AsyncSession", object())


class Connection:
    """A session that gets its connection immediately, or fails."""

    async def connection(self) -> None:
        pass

    def expunge_all(self) -> None:
        pass


class Database:
    """A database whose statements return when a test lets them, with what is stored just then."""

    def __init__(self) -> None:
        self.stored = 0
        self.sent: list[list[Any]] = []
        self.failure: Exception | None = None
        self.unreachable: Exception | None = None
        self.may_return = asyncio.Semaphore(0)
        self.has_free_connection = True
        self.taken = 0

    @asynccontextmanager
    async def sessions(self) -> AsyncIterator[AsyncSession]:
        if self.unreachable is not None:
            raise self.unreachable
        self.taken += 1
        yield cast("AsyncSession", Connection())

    async def run(self, keys: Sequence[Any]) -> dict[Any, str]:
        self.sent.append([*keys])
        # Like PostgreSQL, which sees what was committed when the statement arrived.
        seen = self.stored
        await self.may_return.acquire()
        if self.failure is not None:
            raise self.failure
        return {key: f"{key}: {seen}" for key in keys if key != "missing"}


@pytest.fixture
def database() -> Database:
    return Database()


@pytest.fixture
def session(database: Database) -> Autocommit:
    return Autocommit(BatchConnections(database.sessions, lambda: database.has_free_connection))


@pytest.fixture
def writes(session: Autocommit) -> Callable[[], SingleWrite]:
    """Return what each request has for its write."""
    return partial(SingleWrite, session)


@pytest.fixture
def read(database: Database) -> Any:
    @batched
    async def read(session: AsyncSession, keys: Sequence[Any], *of: str) -> Mapping[Any, str]:
        del session, of
        return await database.run(keys)

    return read


@pytest.fixture
def write(database: Database) -> Any:
    async def write(session: AsyncSession, values: Mapping[Any, Any]) -> Mapping[Any, str]:
        del session
        return await database.run([(key, value) for key, value in values.items()]) and {
            key: "done" for key in values if key != "missing"
        }

    return batched_write(write, size=len)


async def settle() -> None:
    """Let every task do what it can."""
    for _ in range(20):
        await asyncio.sleep(0)


async def begin(*calls: Any) -> list[asyncio.Task[Any]]:
    """Begin calls and return their tasks, each as far as it comes."""
    tasks = [asyncio.ensure_future(call) for call in calls]
    await settle()
    return tasks


async def let(database: Database, *tasks: asyncio.Task[Any]) -> list[Any]:
    """Let every statement return, and return the results of these tasks."""
    for _ in range(1000):
        database.may_return.release()
    return await asyncio.gather(*tasks, return_exceptions=True)


async def release_one(database: Database) -> None:
    database.may_return.release()
    await settle()


async def test_a_call_is_sent_immediately_if_nothing_is_in_flight(
    database: Database, session: Autocommit, read: Any
) -> None:
    [task] = await begin(read(session, 1))

    assert database.sent == [[1]]

    await release_one(database)

    assert await task == "1: 0"


async def test_calls_that_come_while_one_is_in_flight_go_out_together(
    database: Database, session: Autocommit, read: Any
) -> None:
    tasks = await begin(read(session, 1), read(session, 2), read(session, 3), read(session, 3))
    tasks += await begin(read(session, 4))
    first = database.sent[0]
    await release_one(database)
    tasks += await begin(read(session, 5))

    assert database.sent == [first, [4]]

    await release_one(database)
    await release_one(database)

    assert database.sent == [[1, 2, 3], [4], [5]]
    assert await asyncio.gather(*tasks) == ["1: 0", "2: 0", "3: 0", "3: 0", "4: 0", "5: 0"]


async def test_no_call_joins_a_statement_that_was_sent_before_it_came(
    database: Database, session: Autocommit, read: Any
) -> None:
    [early] = await begin(read(session, 1))
    database.stored = 1
    [late] = await begin(read(session, 1))

    assert database.sent == [[1]]

    await release_one(database)

    assert database.sent == [[1], [1]]

    await release_one(database)

    assert (await early, await late) == ("1: 0", "1: 1")


async def test_a_missing_record_is_none(database: Database, session: Autocommit, read: Any) -> None:
    tasks = await begin(read(session, "missing"), read(session, 1))

    assert await let(database, *tasks) == [None, "1: 0"]


async def test_calls_with_other_arguments_do_not_wait_for_each_other(
    database: Database, session: Autocommit, read: Any
) -> None:
    tasks = await begin(read(session, 1, "name"), read(session, 1, "email"), read(session, 2))

    assert database.sent == [[1], [1], [2]]

    await let(database, *tasks)


async def test_a_statement_has_so_many_keys_at_most(
    database: Database, session: Autocommit, read: Any
) -> None:
    tasks = await begin(*(read(session, number) for number in range(MAX_KEYS + 2)))
    await let(database, *tasks)

    assert [len(keys) for keys in database.sent] == [MAX_KEYS, 2]


async def test_a_result_is_shared_by_equal_calls_alone(
    database: Database, session: Autocommit
) -> None:
    @shared
    async def page(session: AsyncSession, name: str) -> str:
        del session
        return (await database.run([name]))[name]

    tasks = await begin(page(session, "a"), page(session, "a"), page(session, "b"))

    assert database.sent == [["a"], ["b"]]
    assert await let(database, *tasks) == ["a: 0", "a: 0", "b: 0"]


async def test_a_failure_reaches_its_calls_and_the_next_batch_is_sent(
    database: Database, session: Autocommit, read: Any
) -> None:
    failed = await begin(read(session, 1), read(session, 2))
    [next_] = await begin(read(session, 3))
    failure = database.failure = ValueError("it failed")
    await release_one(database)
    database.failure = None

    assert await let(database, *failed, next_) == [failure, failure, "3: 0"]


async def test_requests_that_wait_for_an_unavailable_connection_get_an_error(
    database: Database, session: Autocommit, read: Any
) -> None:
    database.unreachable = OSError("down")
    tasks = await begin(read(session, 1), read(session, 2))

    assert await let(database, *tasks) == [database.unreachable] * 2

    database.unreachable = None
    [again] = await begin(read(session, 1))

    assert await let(database, again) == ["1: 0"]


async def test_a_client_that_goes_does_not_take_the_others_with_it(
    database: Database, session: Autocommit, read: Any
) -> None:
    gone, stays = await begin(read(session, 1), read(session, 2))
    gone.cancel()
    await settle()

    assert await let(database, stays) == ["2: 0"]
    assert gone.cancelled()


async def test_a_statement_is_cancelled_a_while_after_all_its_callers(
    database: Database, session: Autocommit, read: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "ABANDONED_SECONDS", 0)
    tasks = await begin(read(session, 1), read(session, 2))
    for task in tasks:
        task.cancel()
    await settle()
    [next_] = await begin(read(session, 3))

    assert database.sent == [[1, 2], [3]]
    assert await let(database, next_) == ["3: 0"]


@pytest.fixture
async def abandoned(
    database: Database, session: Autocommit, read: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Send a statement whose caller is cancelled, and which may go on for long."""
    monkeypatch.setattr(batches, "ABANDONED_SECONDS", 60)
    [gone] = await begin(read(session, 1))
    gone.cancel()
    await settle()

    assert database.sent == [[1]]


@pytest.mark.usefixtures("abandoned")
async def test_a_statement_without_callers_that_ends_soon_keeps_its_connection(
    database: Database, session: Autocommit, read: Any
) -> None:
    [next_] = await begin(read(session, 2))

    assert database.sent == [[1]]
    assert await let(database, next_) == ["2: 0"]
    assert (database.sent, database.taken) == ([[1], [2]], 1)


@pytest.mark.usefixtures("abandoned")
async def test_a_caller_that_was_not_sent_does_not_end_the_statement_of_others(
    database: Database, session: Autocommit, read: Any
) -> None:
    [later] = await begin(read(session, 2))
    later.cancel()
    [next_] = await begin(read(session, 3))

    assert await let(database, next_) == ["3: 0"]
    assert (database.sent, database.taken) == ([[1], [3]], 1)


async def test_the_next_statement_of_a_session_is_not_cancelled_for_earlier_callers(
    database: Database, session: Autocommit, read: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "ABANDONED_SECONDS", 0.05)
    [gone] = await begin(read(session, 1))
    gone.cancel()
    [later] = await begin(read(session, 2))
    await release_one(database)
    monkeypatch.setattr(batches, "ABANDONED_SECONDS", 60)
    later.cancel()
    await asyncio.sleep(0.1)  # Longer than the first statement could have gone on.
    [next_] = await begin(read(session, 3))

    assert await let(database, next_) == ["3: 0"]
    assert (database.sent, database.taken) == ([[1], [2], [3]], 1)


async def test_a_cancelled_call_is_not_sent(
    database: Database, session: Autocommit, read: Any
) -> None:
    first, gone, stays = (
        *await begin(read(session, 1)),
        *await begin(read(session, 2), read(session, 3)),
    )
    gone.cancel()
    await let(database, first, stays)

    assert database.sent == [[1], [3]]


async def test_nothing_of_the_request_is_stored(
    database: Database, session: Autocommit, read: Any
) -> None:
    await let(database, *await begin(*(read(session, 1, str(number)) for number in range(100))))
    await settle()

    assert vars(session.batches)["_batches"] == {}


@pytest.mark.parametrize(("has_free_connection", "taken"), [(True, 1), (False, 2)])
async def test_a_connection_is_kept_while_calls_wait_for_it_unless_others_need_it(
    database: Database, session: Autocommit, read: Any, has_free_connection: bool, taken: int
) -> None:
    database.has_free_connection = has_free_connection
    tasks = []
    for number in range(3):
        tasks += await begin(read(session, number))
    await let(database, *tasks)

    assert database.sent == [[0], [1, 2]]
    assert database.taken == taken


async def test_calls_that_wait_for_a_slow_statement_are_sent_concurrently(
    database: Database, session: Autocommit, read: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.common.database.batching.batches.NEXT_STATEMENT_SECONDS", 0.01)
    first = await begin(read(session, 1))
    second = await begin(read(session, 2), read(session, 3))
    while len(database.sent) == 1:  # noqa: ASYNC110  # Until the first is slow.
        await asyncio.sleep(0.001)
    third = await begin(read(session, 4))
    sent = [*database.sent]

    assert await let(database, *first, *second, *third) == ["1: 0", "2: 0", "3: 0", "4: 0"]
    assert sent[:2] == [[1], [2, 3]]
    await settle()
    assert vars(session.batches)["_batches"] == {}


async def test_the_calls_of_a_large_batch_are_resumed_a_few_at_a_time(
    database: Database, session: Autocommit, read: Any
) -> None:
    tasks = await begin(*(read(session, number) for number in range(3 * MOST_AT_ONCE + 1)))
    done = [0]
    database.may_return.release()
    while done[-1] < len(tasks):
        await asyncio.sleep(0)
        done.append(sum(task.done() for task in tasks))

    assert len(database.sent) == 1
    assert max(after - before for before, after in pairwise(done)) == MOST_AT_ONCE
    assert [task.result() for task in tasks] == [f"{number}: 0" for number in range(len(tasks))]


async def test_a_slow_statement_that_fails_fails_no_other_call(
    database: Database, session: Autocommit, read: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.common.database.batching.batches.NEXT_STATEMENT_SECONDS", 0.01)
    [first] = await begin(read(session, 1))
    [second] = await begin(read(session, 2))
    while len(database.sent) == 1:  # noqa: ASYNC110  # Until the first is slow.
        await asyncio.sleep(0.001)
    failure = database.failure = ValueError("it failed")
    await release_one(database)
    database.failure = None

    assert await let(database, first, second) == [failure, "2: 0"]


async def test_in_a_transaction_a_read_runs_alone_and_a_write_not_at_all(
    database: Database, read: Any, write: Any
) -> None:
    tasks = await begin(read(TRANSACTION, 1), read(TRANSACTION, 2), write(TRANSACTION, 3, "c"))

    assert database.sent == [[1], [2]]
    assert await let(database, *tasks) == ["1: 0", "2: 0", None]


async def test_writes_with_one_key_go_out_one_behind_the_other(
    database: Database, writes: Callable[[], SingleWrite], write: Any
) -> None:
    tasks = await begin(write(writes(), 1, "a"), write(writes(), 1, "b"), write(writes(), 2, "c"))

    assert await let(database, *tasks) == ["done"] * 3
    assert database.sent == [[(1, "a"), (2, "c")], [(1, "b")]]


@pytest.mark.limit("SHARED_CHARACTERS")
async def test_the_writes_of_a_client_take_a_bounded_part_of_a_statement(
    database: Database,
    writes: Callable[[], SingleWrite],
    write: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(batches, "SHARED_SIZE", 4)

    async def write_as(client: str, key: int, value: str) -> Any:
        CLIENT.set(client)
        return await write(writes(), key, value)

    one = [write_as("one", key, value) for key, value in enumerate(["aaa", "a", "aa", "aaaaa"])]
    tasks = await begin(*one, write_as("another", 4, "bbbb"))

    assert await let(database, *tasks) == ["done"] * 5
    assert database.sent == [[(0, "aaa"), (4, "bbbb"), (1, "a")], [(2, "aa")], [(3, "aaaaa")]]


async def test_of_writes_with_the_same_key_those_of_a_client_do_not_precede_those_of_others(
    database: Database, writes: Callable[[], SingleWrite], write: Any
) -> None:
    async def write_as(client: str, value: int) -> Any:
        CLIENT.set(client)
        return await write(writes(), "key", f"{client} {value}")

    clients = ("many", "more")
    tasks = await begin(*[write_as(client, value) for client in clients for value in range(9)])
    tasks += await begin(write_as("one", 0))
    await let(database, *tasks)

    order = [value for [(_, value)] in database.sent]
    assert order[:5] == ["many 0", "more 0", "one 0", "many 1", "more 1"]
    assert len(order) == 19


async def test_a_client_with_many_writes_of_a_key_has_its_turn_beside_others_that_return(
    database: Database, writes: Callable[[], SingleWrite], write: Any
) -> None:
    async def write_as(client: str, number: int) -> None:
        CLIENT.set(client)
        for _ in range(number):
            await write(writes(), "key", client)

    tasks = await begin(
        *[write_as("many", 4) for _ in range(5)], *[write_as(client, 20) for client in "abc"]
    )
    for _ in range(80):
        await release_one(database)
    await asyncio.gather(*tasks)

    order = [client for [(_, client)] in database.sent]
    assert Counter(order[:40]) == Counter(many=10, a=10, b=10, c=10)


async def test_nothing_is_kept_of_the_clients_of_reads(
    database: Database, session: Autocommit, read: Any
) -> None:
    async def read_as(client: str) -> Any:
        CLIENT.set(client)
        return await read(session, client)

    tasks = await begin(*[read_as(str(number)) for number in range(9)])
    await release_one(database)
    tasks += await begin(read_as("another"))
    [batch] = vars(session.batches)["_batches"].values()

    assert vars(batch)["_served"] == {}

    await let(database, *tasks)


async def test_after_a_long_write_its_clients_share_no_statement(
    database: Database,
    writes: Callable[[], SingleWrite],
    write: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What a call costs is not known before: the sizes here are the same."""
    for name in ("LONG_SECONDS", "LIMITED_SECONDS", "MULTIPLE"):
        monkeypatch.setattr(slow_clients, name, 0)

    async def write_as(client: str, key: int) -> Any:
        CLIENT.set(client)
        return await write(writes(), key, "")

    async def write_all() -> list[list[int]]:
        tasks = await begin(*[write_as("one", key) for key in range(3)], write_as("other", 3))
        await let(database, *tasks)
        return sorted(sorted(key for key, _ in statement) for statement in database.sent)

    assert await write_all() == [[0, 1, 2, 3]]
    database.sent.clear()
    assert await write_all() == [[0, 1, 2], [3]]
    database.sent.clear()
    # Its own statement was long too.
    assert await write_all() == [[0], [1], [2], [3]]


async def test_a_write_that_a_statement_left_out_is_to_be_done_alone(
    database: Database, writes: Callable[[], SingleWrite], write: Any
) -> None:
    tasks = await begin(write(writes(), "missing", "a"), write(writes(), 2, "b"))

    assert await let(database, *tasks) == [None, "done"]


def refusal(error: type[asyncpg.PostgresError]) -> IntegrityError:
    cause: Any = RuntimeError("refused")
    cause.sqlstate = error.sqlstate
    return IntegrityError("INSERT", {}, cause)


@pytest.mark.parametrize(
    "error",
    [
        asyncpg.CheckViolationError,
        asyncpg.UniqueViolationError,
        asyncpg.NumericValueOutOfRangeError,
        asyncpg.DeadlockDetectedError,
        asyncpg.LockNotAvailableError,
        asyncpg.QueryCanceledError,
    ],
)
async def test_writes_whose_statement_is_refused_are_to_be_done_alone(
    database: Database,
    writes: Callable[[], SingleWrite],
    write: Any,
    error: type[asyncpg.PostgresError],
) -> None:
    database.failure = refusal(error)
    tasks = await begin(write(writes(), 1, "a"), write(writes(), 2, "b"))

    assert await let(database, *tasks) == [None, None]


@pytest.mark.parametrize(
    "error",
    [asyncpg.AdminShutdownError, asyncpg.ConnectionFailureError],
)
async def test_a_write_with_an_unknown_outcome_is_not_repeated(
    database: Database,
    writes: Callable[[], SingleWrite],
    write: Any,
    error: type[asyncpg.PostgresError],
) -> None:
    database.failure = refusal(error)
    tasks = await begin(write(writes(), 1, "a"), write(writes(), 2, "b"))

    assert await let(database, *tasks) == [database.failure] * 2


@dataclass(frozen=True)
class Page(Costed):
    """An argument of reads that cost the same."""

    number: int

    @property
    def kind(self) -> str:
        """Return the same for each."""
        return "page"


class Canceled(Exception):  # noqa: N818  # As asyncpg names it.
    sqlstate = "57014"


@pytest.fixture
def cheap() -> Autocommit:
    """Return a session with a connection for cheap reads and one for costly statements."""

    def one(name: str) -> BatchConnections:
        turn = asyncio.Semaphore(1)

        @asynccontextmanager
        async def sessions() -> AsyncIterator[AsyncSession]:
            async with turn:
                session: Any = Connection()
                session.name = name
                yield session

        return BatchConnections(sessions)

    return Autocommit(
        one("cheap"), costly=Autocommit(one("costly")), cheap="CHEAP_READ_MILLISECONDS"
    )


async def test_reads_that_wait_while_their_kind_becomes_costly_do_not_start_as_cheap_ones(
    cheap: Autocommit,
) -> None:
    may_fail = asyncio.Event()
    sent: list[tuple[str, int]] = []

    @batched
    async def read(session: Any, keys: Sequence[int], page: Page) -> Mapping[int, str]:
        sent.append((session.name, page.number))
        if session.name == "cheap":
            await may_fail.wait()
            raise DBAPIError("", {}, Canceled())
        return dict.fromkeys(keys, "read")

    reads = await begin(*(read(cheap, 1, Page(number)) for number in (1, 2, 3)))
    may_fail.set()
    results = await asyncio.gather(*reads)

    assert results == ["read"] * 3
    assert sent[0] == ("cheap", 1)
    assert sorted(sent[1:]) == [("costly", 1), ("costly", 2), ("costly", 3)]


async def test_a_deferred_read_is_built_when_it_has_a_connection(
    cheap: Autocommit, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client whose reads are refused would cost others the time in which they are built."""
    events: list[str] = []

    async def connection(self: Any) -> None:
        events.append(f"connected: {self.name}")

    async def execute(self: Any, statement: str, values: object) -> str:
        events.append(f"{statement}: {self.name}")
        if self.name == "cheap":
            raise DBAPIError("", {}, Canceled())
        return statement

    def build() -> str:
        events.append("built")
        return "sent"

    monkeypatch.setattr(Connection, "connection", connection)
    monkeypatch.setattr(AsyncSession, "execute", execute)

    assert await execute_deferred(cheap, build, "kind", {}) == "sent"
    assert await execute_deferred(cheap, build, "kind", {}) == "sent"
    costly = ["connected: costly", "built", "sent: costly"]
    assert events == ["connected: cheap", "built", "sent: cheap", *costly, *costly]


async def test_a_connection_that_takes_too_long_for_a_cheap_read_leads_to_a_costly_one(
    cheap: Autocommit, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def connection(self: Any) -> None:
        if self.name == "cheap":
            raise DBAPIError("", {}, Canceled())

    monkeypatch.setattr(Connection, "connection", connection)

    @batched
    async def read(session: Any, keys: Sequence[int]) -> Mapping[int, str]:
        return dict.fromkeys(keys, session.name)

    assert await read(cheap, 1) == "costly"
    assert vars(cheap.costly_kinds)["_until"] == {}


async def test_a_statement_of_many_keys_that_takes_too_long_is_repeated_in_parts(
    cheap: Autocommit,
) -> None:
    sent: list[tuple[str, list[int]]] = []

    @batched
    async def read(session: Any, keys: Sequence[int]) -> Mapping[int, str]:
        sent.append((session.name, [*keys]))
        if 7 in keys and session.name == "cheap":
            raise DBAPIError("", {}, Canceled())
        return dict.fromkeys(keys, "read")

    results = await asyncio.gather(*(read(cheap, number) for number in (1, 2, 7, 17)))
    first, *parts = sent
    sent.clear()
    await asyncio.gather(read(cheap, 1), read(cheap, 7), read(cheap, 2))

    assert results == ["read"] * 4
    assert first == ("cheap", [1, 2, 7, 17])
    # 1 and 17 are of one part.
    assert sorted(parts) == [
        *(("cheap", keys) for keys in ([1, 17], [2], [7])),
        ("costly", [7]),
    ]
    # For some seconds the parts are read apart from the start, and that of 7 as a costly statement.
    assert sorted(sent) == [("cheap", [1]), ("cheap", [2]), ("costly", [7])]
