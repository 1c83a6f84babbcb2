"""Kinds of work that have connections of their own, on a PostgreSQL as slow as a test wants."""

import asyncio
import gc
import re
import warnings
from collections.abc import AsyncIterator, Awaitable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any, cast
from unittest.mock import AsyncMock
from uuid import uuid4

import pytest
from sqlalchemy import event, select, text
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession

from service import limits
from service.client import CLIENT
from service.common.database import database
from service.common.database.batching import autocommit
from service.common.database.batching.batches import BatchConnections, Batches
from service.common.database.database import Database, release
from service.common.database.engine import create_engine
from service.common.database.work import LOCK_TIMEOUTS, Work, pool_sizes
from service.common.database.work_pool import SHARED_BY, ShareError, WorkPool
from service.common.errors import cause_of
from service.common.middleware.admission import requests_in_progress
from service.common.middleware.schemas import SMALL_BODY_BYTES
from service.common.web import App
from service.logs import configure_logs
from service.places import Clients, Places
from service.settings import Settings
from tests.app import create_app
from tests.client import Client
from tests.counted import counted
from tests.envelope import error_of
from tests.factories import item
from tests.integration.sent import explain, listening, statements
from tests.integration.test_batching import LOCKED, WAIT, WAITING, before_each_read, held, run
from tests.ports import refusing_port
from tests.waiting import until, until_waiting

# Costly reads, whatever they find.
IS_COSTLY = "current_query() ~* 'ilike|count|by item.created_at.*, item.email'"
# Parts of every record, each another one for the service.
PAIRS = ("pr", "ro", "oj", "je", "ec", "ct", "ex", "xa", "am", "mp")
PARTS = [*PAIRS, *map(str.upper, PAIRS)]
HELD = "INSERT INTO item (name, email) VALUES ('Held', 'held@example.org')"
COSTLY = "/item?sort=created_at,email"
COUNT = {"Prefer": "count=exact"}
ASLEEP = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
TERMINATE = ASLEEP.replace("count(*)", "pg_terminate_backend(pid, 5000)")
SLOW_COMMIT = """
CREATE FUNCTION rest() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    PERFORM pg_sleep(60); RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER rest AFTER INSERT ON item DEFERRABLE INITIALLY DEFERRED
FOR EACH ROW EXECUTE FUNCTION rest()
"""

# Longer than a test waits for many requests to have begun.
LONG = {"request_timeout": 240, "database_statement_timeout": 120}


@asynccontextmanager
async def running(settings: Settings, **changes: object) -> AsyncIterator[tuple[App, Client]]:
    """Run an application that has a connection for each kind of work, and one more for reads."""
    app = create_app(settings.model_copy(update={"database_pool_size": 7} | changes))
    async with app.test_app():
        yield app, cast("Client", app.test_client())


def engine_of(app: App, work: Work) -> AsyncEngine:
    database: Database = app.database
    engine: AsyncEngine = vars(database)["_engines"][work]
    return engine


def pool_of(app: App, work: Work) -> WorkPool:
    return cast("WorkPool", engine_of(app, work).pool)


def opened(app: App) -> dict[Work, int]:
    pools = app.database.pools()
    return {work: count for work, pool in pools.items() if (count := pool.checkedin())}


@pytest.fixture(autouse=True)
def _slow_cheap_reads(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let cheap reads take long, except in the tests of that: the machine may be slow."""
    limit = request.node.get_closest_marker("limit")
    if limit is None or "CHEAP_READ_MILLISECONDS" not in limit.args:
        monkeypatch.setattr(database, "CHEAP_READ_SECONDS", 60)


@pytest.fixture
async def gate(engine: AsyncEngine, client: Client) -> AsyncIterator[AsyncConnection]:
    """Have every costly statement of `item` wait until the connection's lock is gone."""
    for _ in range(3):
        await client.post("/item", json=item())
    what = f"{WAIT} WHERE {IS_COSTLY}"
    async with before_each_read(engine, what), engine.connect() as connection:
        await connection.execute(text("SELECT pg_advisory_lock(42)"))
        yield connection


async def open_gate(gate: AsyncConnection) -> None:
    await gate.execute(text("SELECT pg_advisory_unlock(42)"))


async def until_batched(app: App, number: int) -> None:
    """Return once so many writes wait for a statement."""
    batches = vars(app.database.single_write().batches)["_batches"]
    async with asyncio.timeout(30):
        while sum(len(vars(one)["_waiting"]) for one in batches.values()) < number:  # noqa: ASYNC110
            await asyncio.sleep(0)


def nobody_is_in_progress(app: App) -> bool:
    """Return whether all places are free, and as many as at the beginning."""
    return app.admission.places.free == requests_in_progress(7)


async def codes(answers: Iterable[Awaitable[Any]]) -> list[int]:
    return [answer.status_code for answer in await asyncio.gather(*answers)]


@pytest.mark.parametrize(
    ("query", "headers"),
    [
        ("q=project&limit={number}", {}),
        ("q={part}", {}),
        ("q={part}", COUNT),
        ("limit=1", COUNT),
        ("sort=created_at,email&limit={number}", {}),
    ],
)
async def test_costly_reads_hang_and_all_others_are_answered(
    settings: Settings,
    engine: AsyncEngine,
    gate: AsyncConnection,
    query: str,
    headers: dict[str, str],
) -> None:
    async with running(settings) as (app, client):
        costly = [
            asyncio.create_task(
                client.get(f"/item?{query.format(part=part, number=number)}", headers=headers)
            )
            for number, part in enumerate(PARTS[:8], 10)
        ]
        await until(engine, WAITING, 1)
        cheap = ["/item/1", "/item", "/item?sort=-name", "/readyz", "/item?limit=1"]
        found = await codes([client.get(path) for path in cheap])
        await until(engine, WAITING, 1)
        await open_gate(gate)
        answered = await codes(costly)

        assert pool_of(app, Work.COSTLY).checkedout() == 0
        assert pool_of(app, Work.SEARCHES).checkedout() == 0
        assert nobody_is_in_progress(app)

    assert found == [200] * 5
    assert set(answered) <= {200, 503}
    assert 200 in answered


def fail(*_: Any) -> None:
    raise ConnectionError


async def take(taken: AsyncExitStack, engine: AsyncEngine, number: int) -> None:
    """Take connections, each for another client."""
    before = CLIENT.get()
    for _ in range(number):
        CLIENT.set(uuid4().hex)
        await taken.enter_async_context(engine.connect())
    CLIENT.set(before)


SLOW_WRITES = """
CREATE FUNCTION wait_long() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    PERFORM pg_sleep(0.5); RETURN NULL;
END $$;
CREATE TRIGGER wait_long BEFORE INSERT OR DELETE ON item EXECUTE FUNCTION wait_long()
"""


def of_one_connection(database_url: str, pool_timeout: float = 30) -> tuple[AsyncEngine, WorkPool]:
    """Return an engine with a single connection, and its pool."""
    pooled = create_engine(
        database_url,
        statement_timeout=0,
        poolclass=WorkPool,
        pool_size=1,
        max_overflow=0,
        pool_timeout=pool_timeout,
    )
    return pooled, cast("WorkPool", pooled.pool)


async def test_connections_are_given_out_in_the_order_of_arrival(database_url: str) -> None:
    pooled, pool = of_one_connection(database_url)
    # Without a transaction, nothing lets another task run when a connection comes back.
    alone = pooled.execution_options(isolation_level="AUTOCOMMIT")
    order: list[str] = []

    async def use(name: str, times: int) -> None:
        for _ in range(times):
            session = AsyncSession(alone)
            await session.connection()
            order.append(name)
            await release(session)

    async with pooled.connect():
        waiting = [asyncio.create_task(use("often", 3)), asyncio.create_task(use("once", 1))]
        await until_waiting(pool, 2)
    await asyncio.gather(*waiting)
    await pooled.dispose()

    assert order == ["often", "once", "often", "often"]
    assert pool.waiting == 0


async def test_shared_and_single_statements_get_connections_alternately(database_url: str) -> None:
    pooled, pool = of_one_connection(database_url)
    order: list[str] = []

    async def use() -> None:
        async with pooled.connect():
            order.append("single")

    async def use_shared(session: AsyncSession, keys: Iterable[str]) -> dict[str, str]:
        await session.execute(select(1))
        order.append("shared")
        return dict.fromkeys(keys, "found")

    batches = Batches(BatchConnections(lambda: AsyncSession(pooled)))
    async with pooled.connect():
        waiting = [asyncio.create_task(use()) for _ in range(4)]
        await until_waiting(pool, 4)
        # Two calls of the first group, which share a statement.
        shared = [
            asyncio.create_task(batches.call(group, use_shared, n))
            for n, group in enumerate("aabc")
        ]
        await until_waiting(pool, 7)
    found = await asyncio.gather(*shared)
    await asyncio.gather(*waiting)
    await pooled.dispose()

    assert found == ["found"] * 4
    assert order == ["single", "shared"] * 3 + ["single"]
    assert pool.waiting == 0


async def test_clients_get_connections_in_turn(database_url: str) -> None:
    pooled, pool = of_one_connection(database_url)
    order: list[str] = []

    async def use(client: str) -> None:
        CLIENT.set(client)
        async with pooled.connect():
            order.append(client)

    async with pooled.connect():
        waiting = []
        for number, client in enumerate(["many"] * 4 + ["few"], 1):
            waiting.append(asyncio.create_task(use(client)))
            await until_waiting(pool, number)
    await asyncio.gather(*waiting)
    await pooled.dispose()

    assert order == ["many", "few", "many", "many", "many"]


@pytest.mark.limit("CLIENT_WAITING")
async def test_only_some_requests_of_a_client_that_has_its_share_wait(database_url: str) -> None:
    pooled, pool = of_one_connection(database_url)
    # Of two, one for each client.
    pool.places = Places(2, 1)

    async def use(client: str) -> None:
        CLIENT.set(client)
        async with pooled.connect():
            pass

    CLIENT.set("many")
    async with pooled.connect():
        waiting = []
        for number in range(1, limits.CLIENT_WAITING.value + 1):
            waiting.append(asyncio.create_task(use("many")))
            await until_waiting(pool, number)
        with counted("CLIENT_SHARE"), pytest.raises(ShareError, match="other requests"):
            await use("many")
        # A statement that a client shares of which none waits.
        SHARED_BY.set(both := Clients("many"))
        both.add("few")
        pool.places.add("few")
        shared = asyncio.create_task(use("few"))
        await until_waiting(pool, limits.CLIENT_WAITING.value + 1)
        shared.cancel()
        await asyncio.wait([shared])
        pool.places.release("few")
        SHARED_BY.set(None)
        CLIENT.set("few")
        assert pool.places.take(Clients("few")) == "few"
        pool.places.release("few")
    await asyncio.gather(*waiting)
    await pooled.dispose()

    assert pool.places.free == 2


async def test_a_shared_statement_is_sent_in_the_turn_of_any_of_its_clients(
    database_url: str,
) -> None:
    pooled, pool = of_one_connection(database_url)
    order: list[str] = []

    async def use_shared(group: str, session: AsyncSession, keys: Iterable[str]) -> dict[str, str]:
        await session.execute(select(1))
        order.append(group)
        return dict.fromkeys(keys, "found")

    batches = Batches(BatchConnections(lambda: AsyncSession(pooled)))

    async def ask(client: str, group: str) -> str | None:
        CLIENT.set(client)
        found: str | None = await batches.call(group, partial(use_shared, group), "key")
        return found

    async with pooled.connect():
        waiting = [asyncio.create_task(ask("many", group)) for group in "abcd"]
        await until_waiting(pool, 4)
        waiting.append(asyncio.create_task(ask("few", "c")))
        await asyncio.sleep(0)
    found = await asyncio.gather(*waiting)
    # Until the last statement has given its connection back.
    async with pooled.connect():
        pass
    await pooled.dispose()

    assert found == ["found"] * 5
    assert order == ["a", "c", "b", "d"]


async def test_another_client_gets_the_connection_that_is_left_for_a_shared_statement(
    settings: Settings, empty_database: None
) -> None:
    """A client with its share of the costly ones waits for the statement that another joins."""
    async with running(settings, **LONG | {"database_pool_size": 10}) as (app, client):
        assert pool_sizes(10)[Work.COSTLY] == 2

        def count(peer: str) -> Awaitable[Any]:
            base = {"client": (peer, 1)}
            return client.get("/item?limit=1", headers=COUNT, scope_base=base)

        CLIENT.set("192.0.2.1")
        async with engine_of(app, Work.COSTLY).connect():
            own = asyncio.ensure_future(count("192.0.2.1"))
            await until_waiting(pool_of(app, Work.COSTLY), 1)
            other = await count("192.0.2.2")
            answered = await own

    assert (other.status_code, answered.status_code) == (200, 200)


@pytest.mark.parametrize("how", ["not opened", "invalidated", "forgotten"])
async def test_a_connection_that_fails_leaves_its_place_to_others(
    database_url: str, how: str
) -> None:
    pooled, pool = of_one_connection(database_url)
    if how == "not opened":
        event.listen(pooled.sync_engine, "connect", fail)
        with pytest.raises(ConnectionError):
            await pooled.connect()
        event.remove(pooled.sync_engine, "connect", fail)
    elif how == "invalidated":
        async with pooled.connect() as connection:
            await connection.invalidate()
    else:
        connection = await pooled.connect()
        taken = pool.places.free
        raw: Any = (await connection.get_raw_connection()).driver_connection
        await raw.close()
        with warnings.catch_warnings():
            # SQLAlchemy warns of it.
            warnings.simplefilter("ignore")
            del connection, raw
            gc.collect()
        assert taken == 0
    free = pool.places.free
    async with pooled.connect() as connection:
        found = await connection.scalar(select(1))
    await pooled.dispose()

    assert (free, found) == (1, 1)


async def test_requests_that_leave_while_they_wait_keep_nobody_waiting(database_url: str) -> None:
    pooled, pool = of_one_connection(database_url)
    used: list[int] = []

    async def use(number: int) -> None:
        async with pooled.connect():
            used.append(number)

    async with pooled.connect():
        waiting = []
        for number in range(4):
            waiting.append(asyncio.create_task(use(number)))
            await until_waiting(pool, number + 1)
        # The first waits for the connection, the second for its turn, the third in the queue.
        for one in waiting[:3]:
            one.cancel()
        left = await asyncio.gather(*waiting[:3], return_exceptions=True)
    await waiting[3]
    await pooled.dispose()

    assert all(isinstance(one, asyncio.CancelledError) for one in left)
    assert used == [3]
    assert pool.waiting == 0


@pytest.mark.parametrize("may_go_on", [True, False])
async def test_a_request_that_leaves_costs_its_connection_only_if_its_statement_goes_on_for_long(
    database_url: str, engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch, may_go_on: bool
) -> None:
    monkeypatch.setattr(autocommit, "ABANDONED_SECONDS", 60 if may_go_on else 0)
    pooled = create_engine(database_url, statement_timeout=60, pool_size=1)
    session = autocommit.Autocommit(BatchConnections(lambda: AsyncSession(pooled)))
    pid, lock = text("SELECT pg_backend_pid()"), text("SELECT pg_advisory_xact_lock(1)")
    before = await session.scalar(pid)
    async with engine.connect() as other:
        await other.execute(lock)
        request = asyncio.create_task(session.scalar(lock))
        await until(engine, WAITING, 1)
        request.cancel()
        if may_go_on:
            await other.rollback()
        with pytest.raises(asyncio.CancelledError) as caught:
            await request
    after = await session.scalar(pid)
    await pooled.dispose()

    assert (before == after) is may_go_on
    assert re.search(r"waited \d\.\d s for a statement; no pool", cause_of(caught.value))


async def test_a_request_that_waited_too_long_takes_no_connection(database_url: str) -> None:
    pooled, pool = of_one_connection(database_url, pool_timeout=0.1)
    async with pooled.connect():
        for _ in range(3):
            with pytest.raises(PoolTimeoutError):
                async with pooled.connect():
                    pass
        assert (pool.waiting, pool.places.free) == (0, 0)
    async with pooled.connect() as connection:
        found = await connection.scalar(select(1))
    await pooled.dispose()

    assert found == 1
    assert (pool.waiting, pool.places.free) == (0, 1)


@pytest.mark.limit("CHEAP_READ_MILLISECONDS")
async def test_a_plain_read_that_takes_too_long_is_repeated_too(
    settings: Settings, empty_database: None
) -> None:
    async with running(settings) as (app, _):
        reader = app.database.reader()
        # Longer than a cheap read may take, and shorter than any read may.
        with counted("CHEAP_READ_MILLISECONDS"):
            found = await reader.scalar(text("SELECT 1 FROM pg_sleep(0.3)"))

    assert found == 1


@pytest.mark.limit("CHEAP_READ_MILLISECONDS")
async def test_a_search_that_takes_too_long_is_repeated_as_a_costly_read(
    settings: Settings, engine: AsyncEngine, empty_database: None
) -> None:
    async with running(settings) as (app, client):
        await client.post("/item", json=item())
        async with before_each_read(engine, "pg_sleep(0.3) WHERE current_query() ~* 'ilike'"):
            with statements(app) as sent, counted("CHEAP_READ_MILLISECONDS"):
                found = await client.get("/item?q=project")
                # Another statement that costs about the same.
                other = await client.get("/item?q=project&only=id")

    assert [len(await one.get_json()) for one in (found, other)] == [1, 1]
    assert [one.work for one in sent] == [Work.SEARCHES, Work.COSTLY, Work.COSTLY]


@pytest.mark.limit("CHEAP_READ_MILLISECONDS")
async def test_only_the_same_client_has_the_same_statement_restarted_at_once(
    settings: Settings, empty_database: None
) -> None:
    slow = text("SELECT 1 FROM pg_sleep(0.3)")
    async with running(settings) as (app, _):
        searches = app.database.reader().searches
        for client, cancelled in (("192.0.2.1", 1), ("192.0.2.1", 0), ("192.0.2.2", 1)):
            CLIENT.set(client)
            with counted("CHEAP_READ_MILLISECONDS", cancelled):
                assert await searches.scalar(slow) == 1


@pytest.mark.limit("CHEAP_WRITE_MILLISECONDS")
@pytest.mark.parametrize(
    ("method", "path", "status", "cancelled"),
    # The statement that requests share, and the one of the request alone, are cancelled.
    [("DELETE", "/item/1", 200, 1), ("POST", "/item", 201, 2)],
)
async def test_a_write_that_takes_long_leaves_the_connections_of_writes_to_others(
    settings: Settings,
    engine: AsyncEngine,
    empty_database: None,
    monkeypatch: pytest.MonkeyPatch,
    method: str,
    path: str,
    status: int,
    cancelled: int,
) -> None:
    monkeypatch.setattr(database, "CHEAP_WRITE_SECONDS", 0.2)
    async with running(settings) as (app, client):
        await client.post("/item", json=item())
        before = opened(app)
        await run(engine, SLOW_WRITES)
        try:
            with counted("CHEAP_WRITE_MILLISECONDS", cancelled):
                written = await client.open(path, method=method, json=item())
        finally:
            await run(engine, "DROP FUNCTION wait_long CASCADE")
        more = opened(app).keys() - before.keys()

    assert written.status_code == status
    assert more == {Work.COSTLY}


@pytest.mark.limit("CHEAP_WRITE_MILLISECONDS")
async def test_a_client_with_many_writes_that_take_long_holds_the_connections_of_writes_once(
    settings: Settings, engine: AsyncEngine, empty_database: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "CHEAP_WRITE_SECONDS", 0.2)
    ids = range(1, 4)
    async with running(settings) as (app, client):
        for number in ids:
            await client.post("/item", json=item(email=f"{number}@example.org"))
        await run(engine, SLOW_WRITES)
        try:
            # As many as there are connections are cancelled; those that wait for one are not tried.
            with counted("CHEAP_WRITE_MILLISECONDS", pool_of(app, Work.WRITES).size()):
                written = await codes([client.delete(f"/item/{number}") for number in ids])
            with counted("CHEAP_WRITE_MILLISECONDS", 0):
                written += await codes([client.delete("/item/9")])
        finally:
            await run(engine, "DROP FUNCTION wait_long CASCADE")

    assert written == [200, 200, 200, 404]


@pytest.mark.limit("CHEAP_READ_MILLISECONDS")
async def test_a_cheap_read_that_takes_too_long_is_restarted_as_a_costly_one(
    settings: Settings, engine: AsyncEngine, empty_database: None
) -> None:
    what = f"{WAIT} WHERE current_query() ~ 'ORDER BY item.name DESC'"
    async with (
        running(settings) as (app, client),
        engine.connect() as gate,
        AsyncExitStack() as stack,
    ):
        await client.post("/item", json=item())
        await stack.enter_async_context(before_each_read(engine, what))
        reader = app.database.reader()
        timeout = await reader.scalar(text("SHOW statement_timeout"))
        in_time = await codes([client.get("/item?sort=-name"), client.get("/item/1")])
        costly_kinds = len(vars(reader.pages.costly_kinds)["_until"])
        await gate.execute(text("SELECT pg_advisory_lock(42)"))
        late = asyncio.create_task(client.get("/item?sort=-name"))
        async with asyncio.timeout(30):
            while not pool_of(app, Work.COSTLY).checkedout():  # noqa: ASYNC110  # As above.
                await asyncio.sleep(0)
        more = [asyncio.create_task(client.get(f"/item?sort=-name&limit={n}")) for n in "123"]
        await until_waiting(pool_of(app, Work.COSTLY), 2)
        used = pool_of(app, Work.PAGES).checkedout()
        others = await codes(client.get(path) for path in ("/item/1", "/item", "/item?sort=name"))
        await open_gate(gate)
        answered = await codes([late, *more])

    assert timeout == f"{limits.CHEAP_READ_MILLISECONDS.value}ms"
    assert in_time == [200, 200]
    assert costly_kinds == 0
    assert used == 0
    assert others == [200, 200, 200]
    assert answered == [200] * 4


@pytest.mark.limit("REQUESTS_IN_PROGRESS")
@pytest.mark.parametrize(
    "path", ["/item?sort=created_at,email&limit={}", "/item?q=pr"], ids=["different", "the same"]
)
async def test_costly_reads_in_any_number_leave_room_for_others(
    settings: Settings, engine: AsyncEngine, gate: AsyncConnection, path: str
) -> None:
    many = limits.REQUESTS_IN_PROGRESS.value + 1
    async with running(settings, **LONG) as (app, client):
        costly = [asyncio.create_task(client.get(path.format(n))) for n in range(1, 1 + many)]
        await until(engine, WAITING, 1)
        response = await client.get("/item/1")
        await until(engine, WAITING, 1)
        await open_gate(gate)
        answered = await codes(costly)

        assert nobody_is_in_progress(app)

    assert response.status_code == 200
    assert set(answered) <= {200, 503}


@pytest.mark.limit("REQUESTS_IN_PROGRESS")
@pytest.mark.parametrize(
    ("work", "status"),
    [(Work.PAGES, 200), (Work.WRITES, 201), (Work.TRANSACTIONS, 201), (Work.BULK, 200)],
    ids=["pages", "writes", "transactions", "bulk"],
)
async def test_pages_writes_and_transfers_in_any_number_leave_room_for_others(
    settings: Settings,
    empty_database: None,
    monkeypatch: pytest.MonkeyPatch,
    work: Work,
    status: int,
) -> None:
    def ask(client: Client, number: int) -> Awaitable[Any]:
        if work is Work.BULK:
            return client.get("/item", headers={"Accept": "text/csv"})
        if work is Work.PAGES:
            return client.get(f"/item?limit={1 + number}")
        key = {"Idempotency-Key": f"w{number}"} if work is Work.TRANSACTIONS else {}
        return client.post("/item", json=item(), headers=key)

    many = limits.REQUESTS_IN_PROGRESS.value + 1
    async with running(settings, **LONG) as (app, client):
        pool = pool_of(app, work)
        monkeypatch.setattr(pool, "_timeout", 240)
        async with AsyncExitStack() as taken:
            await take(taken, engine_of(app, work), pool_sizes(7)[work])
            waiting = [asyncio.ensure_future(ask(client, number)) for number in range(many)]
            if work is Work.WRITES:
                # They wait together for one connection.
                await until_batched(app, many)
            else:
                await until_waiting(pool, many)
            response = await client.get("/item/1")
        answered = await codes(waiting)

        assert nobody_is_in_progress(app)

    assert response.status_code == 404
    assert answered == [status] * many


@pytest.mark.limit("COSTLY_EXPORTS")
async def test_a_costly_export_waits_for_others_of_its_kind_and_no_other_transfer_does(
    settings: Settings, empty_database: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = {"Accept": "application/x-ndjson"}
    csv = {"Content-Type": "text/csv"}
    async with running(settings, **LONG) as (app, client):
        engine = engine_of(app, Work.COSTLY_EXPORTS)
        pool = pool_of(app, Work.COSTLY_EXPORTS)
        monkeypatch.setattr(pool, "_timeout", 240)
        async with AsyncExitStack() as taken:
            await take(taken, engine, limits.COSTLY_EXPORTS.value - 1)
            last_place = await client.get("/item?sort=-name,email", headers=lines)
            await take(taken, engine, 1)
            waiting = asyncio.ensure_future(client.get("/item?sort=-name,email", headers=lines))
            await until_waiting(pool, 1)
            stored = await client.post("/item", data="name,email\nAda,a@b.example\n", headers=csv)
            found = await client.get("/item?sort=-name", headers=lines)
        answered = await waiting

    assert last_place.status_code == answered.status_code == 200
    assert stored.status_code == 201
    assert await answered.get_data() == await found.get_data() != b""


def nodes_of(plan: dict[str, Any]) -> list[dict[str, Any]]:
    return [plan, *(node for one in plan.get("Plans", []) for node in nodes_of(one))]


@pytest.mark.parametrize(
    ("query", "work", "sorts"),
    [
        ("", Work.BULK, 0),
        ("?sort=-name", Work.BULK, 0),
        ("?name=n77", Work.BULK, 0),
        ("?name=n77&sort=-id", Work.BULK, 0),
        ("?sort=-name,email", Work.COSTLY_EXPORTS, 1),
        ("?name=n77&sort=-created_at,name", Work.COSTLY_EXPORTS, 1),
    ],
)
async def test_an_export_sorts_records_and_not_their_lines(
    settings: Settings, empty_database: None, query: str, work: Work, sorts: int
) -> None:
    fill = (
        "INSERT INTO item (name, email) SELECT 'n' || n % 100, n || '@example.org'"
        " FROM generate_series(1, 5000) AS n"
    )
    async with running(settings) as (app, client):
        engine = engine_of(app, work)
        async with engine.begin() as connection:
            await connection.execute(text(fill))
        with listening({work: engine}) as sent:
            response = await client.get(f"/item{query}", headers={"Accept": "text/csv"})
            await response.get_data()
        [export] = [one for one in sent if "convert_to" in one.sql]
        # Then PostgreSQL sorts only what no index has in the order.
        plan = await explain(engine, export, "enable_sort = off")
    found = [node for node in nodes_of(plan) if "Sort" in node["Node Type"]]

    assert "convert_to" in str(plan["Output"])
    assert len(found) == sorts
    assert "convert_to" not in str([node["Output"] for node in found])


async def test_repetitions_of_a_request_in_progress_need_no_connection(
    settings: Settings, empty_database: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def keyed(client: Client, key: str) -> Awaitable[Any]:
        return client.post("/item", json=item(), headers={"Idempotency-Key": key})

    statements: list[str] = []
    async with running(settings, **LONG) as (app, client):
        engine, pool = engine_of(app, Work.TRANSACTIONS), pool_of(app, Work.TRANSACTIONS)
        monkeypatch.setattr(pool, "_timeout", 240)
        async with engine.connect():
            first = asyncio.ensure_future(keyed(client, "one"))
            await until_waiting(pool, 1)
            flood = await asyncio.gather(*(keyed(client, "one") for _ in range(100)))
            assert {answer.status_code for answer in flood} == {409}
            assert pool.waiting == 1
            others = [asyncio.ensure_future(keyed(client, f"k{n}")) for n in range(20)]
            await until_waiting(pool, 1 + len(others))
            event.listen(
                engine.sync_engine, "before_cursor_execute", lambda *e: statements.append(e[2])
            )
        answered = await codes([first, *others])
        # Without the settings of each transaction behind a pooler.
        count = sum("'statement_timeout'" not in statement for statement in statements)
        after = await keyed(client, "one")

    for answer in flood:
        await error_of(answer, 409, "RequestInProgress")
        assert answer.headers["Retry-After"] == "1"
    assert answered == [201] * 21
    # The lock, the look-up, the record, the answer.
    assert count == 4 * len(answered)
    await error_of(after, 422, "InvalidAPIRequest")


async def test_a_key_is_free_again_when_its_request_was_given_up(
    settings: Settings, empty_database: None
) -> None:
    async with running(settings, **LONG) as (app, client):
        pool = pool_of(app, Work.TRANSACTIONS)
        send = partial(client.post, "/item", json=item(), headers={"Idempotency-Key": "one"})
        async with engine_of(app, Work.TRANSACTIONS).connect():
            given_up = asyncio.create_task(send())
            await until_waiting(pool, 1)
            given_up.cancel()
            await asyncio.wait([given_up])
        response = await send()

    assert response.status_code == 201


@pytest.mark.limit("REQUEST_SECONDS")
@pytest.mark.parametrize("mode", ["ACCESS EXCLUSIVE", "SHARE"], ids=["look-up", "answer"])
async def test_the_statements_of_an_idempotency_key_have_the_deadline_of_the_request(
    settings: Settings,
    engine: AsyncEngine,
    empty_database: None,
    monkeypatch: pytest.MonkeyPatch,
    mode: str,
) -> None:
    lock_limit = limits.KEYED_LOCK_MILLISECONDS._replace(value=60_000)
    monkeypatch.setattr(limits, "KEYED_LOCK_MILLISECONDS", lock_limit)
    async with (
        running(settings, request_timeout=0.2) as (_, client),
        held(engine, f"LOCK TABLE idempotencykey IN {mode} MODE"),
    ):
        response = await client.post("/item", json=item(), headers={"Idempotency-Key": "one"})

    await error_of(response, 504, "DeadlineExceeded")


async def test_writes_that_wait_for_a_lock_leave_connections_for_others(
    settings: Settings, engine: AsyncEngine, client: Client
) -> None:
    for _ in range(3):
        await client.post("/item", json=item())
    in_the_way = item(email="held@example.org")
    async with running(settings) as (_, small), held(engine, HELD):
        blocked = [
            asyncio.create_task(
                small.post("/item", json=in_the_way, headers={"Idempotency-Key": f"k{number}"})
            )
            for number in range(4)
        ] + [asyncio.create_task(small.post("/item", json=in_the_way)) for _ in range(4)]
        await until(engine, LOCKED, 1)
        others = await codes(
            [
                small.post("/item", json=item()),
                small.put("/item/1", json={"name": "Ada"}, headers={"If-Match": "*"}),
                small.delete("/item/2"),
                small.get("/item/3"),
                small.get("/item"),
                small.get("/readyz"),
            ]
        )
        answered = await codes(blocked)

    assert others == [201, 200, 200, 200, 200, 200]
    assert answered == [503] * 8


@pytest.mark.limit("REQUESTS_IN_PROGRESS")
async def test_blocked_writes_in_any_number_leave_room_for_others(
    settings: Settings, engine: AsyncEngine, empty_database: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(LOCK_TIMEOUTS, Work.BLOCKED, "0")
    # The one that has a connection, and the rest.
    most, in_the_way = limits.REQUESTS_IN_PROGRESS.value, item(email="held@example.org")
    async with running(settings, **LONG) as (app, client):
        pool = pool_of(app, Work.BLOCKED)
        monkeypatch.setattr(pool, "_timeout", 240)
        async with held(engine, HELD):
            blocked = [
                asyncio.ensure_future(client.post("/item", json=in_the_way))
                for _ in range(1 + most)
            ]
            await until_waiting(pool, most)
            keyed = await client.post("/item", json=item(), headers={"Idempotency-Key": "one"})
        answered = await codes(blocked)

        assert nobody_is_in_progress(app)

    assert keyed.status_code == 201
    # The other transaction was rolled back.
    assert sorted(answered) == [201] + [409] * most


@pytest.mark.limit("KEYED_LOCK_MILLISECONDS")
@pytest.mark.parametrize(("milliseconds", "status"), [(50, 503), (60_000, 201)])
async def test_a_write_with_an_idempotency_key_waits_a_shorter_time(
    settings: Settings,
    engine: AsyncEngine,
    empty_database: None,
    monkeypatch: pytest.MonkeyPatch,
    milliseconds: int,
    status: int,
) -> None:
    lock_limit = limits.KEYED_LOCK_MILLISECONDS._replace(value=milliseconds)
    monkeypatch.setattr(limits, "KEYED_LOCK_MILLISECONDS", lock_limit)
    # So that no other limit ends the wait first.
    monkeypatch.setitem(LOCK_TIMEOUTS, Work.TRANSACTIONS, "0")
    in_the_way, headers = item(email="held@example.org"), {"Idempotency-Key": "one"}
    async with running(settings) as (_, client):
        async with held(engine, HELD):
            posted = asyncio.create_task(client.post("/item", json=in_the_way, headers=headers))
            if status == 503:
                await asyncio.wait([posted])
            else:
                await until(engine, LOCKED, 1)
        response = await posted

    assert response.status_code == status


async def test_imports_that_open_connections_do_not_wait(
    settings: Settings, empty_database: None
) -> None:
    headers = {"Content-Type": "text/csv"}
    async with running(settings) as (app, client):
        answered = await codes(
            client.post("/item", data=f"name,email\nName,n{number}@example.org\n", headers=headers)
            for number in range(limits.IMPORTS.value)
        )

        assert nobody_is_in_progress(app)

    assert answered == [201] * limits.IMPORTS.value


@pytest.mark.limit("LOCK_SECONDS")
async def test_a_write_waits_a_short_time_for_a_lock(
    settings: Settings, engine: AsyncEngine, client: Client
) -> None:
    in_the_way = item(email="held@example.org")
    location = (await client.post("/item", json=item())).headers["Location"]
    async with held(engine, HELD):
        in_time = asyncio.create_task(client.post("/item", json=in_the_way))
        await until(engine, LOCKED, 1)
    async with held(engine, "DELETE FROM item"):
        late = await client.delete(location)

    assert (await in_time).status_code == 201
    await error_of(late, 503, "Unavailable")
    assert late.headers["Retry-After"] == "1"
    async with running(settings) as (app, _), app.database.transaction() as session:
        lock_timeout = await session.scalar(text("SHOW lock_timeout"))

    assert lock_timeout == f"{limits.LOCK_SECONDS.value}s"


async def test_no_read_is_run_by_parallel_workers(settings: Settings) -> None:
    async with running(settings) as (app, _):
        reader = app.database.reader()
        for session in (reader, reader.costly):
            assert await session.scalar(text("SHOW max_parallel_workers_per_gather")) == "0"


async def test_readiness_needs_no_connection_that_others_hold(settings: Settings) -> None:
    async with running(settings, database_pool_size=1) as (app, client):
        works = [work for work in Work if work is not Work.HEALTH]
        taken = [await engine_of(app, work).connect() for work in works]

        assert (await client.get("/readyz")).status_code == 200

        for connection in taken:
            await connection.close()


async def test_the_service_is_ready_once_small_requests_have_a_connection(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.health.domain.CACHE_SECONDS", 0)
    async with running(settings) as (app, client):
        before = opened(app)
        ready = await client.get("/readyz")
        after = opened(app)
        again = await client.get("/readyz")

        assert before == {}
        assert (ready.status_code, again.status_code) == (200, 200)
        small = (Work.READS, Work.PAGES, Work.WRITES, Work.TRANSACTIONS)
        assert after == opened(app) == dict.fromkeys((*small, Work.HEALTH), 1)


async def test_a_health_check_tries_one_connection_while_the_database_is_down(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    opened_first = AsyncMock()
    monkeypatch.setattr(Database, "_open_first", opened_first)
    monkeypatch.setattr("service.health.domain.CACHE_SECONDS", 0)
    nowhere = Settings(database_url=f"postgresql://127.0.0.1:{refusing_port()}/nowhere")
    async with running(nowhere) as (_, client):
        await error_of(await client.get("/readyz"), 503, "DatabaseError")

    opened_first.assert_not_awaited()


async def test_a_deadline_in_the_queue_frees_the_place_and_its_cause_is_logged(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    configure_logs(settings)
    async with running(settings, request_timeout=0.1) as (app, client):
        pool = pool_of(app, Work.COSTLY)
        async with engine_of(app, Work.COSTLY).connect():
            await error_of(await client.get(COSTLY), 504, "DeadlineExceeded")
            await asyncio.sleep(0)

            assert pool.waiting == 0

        async with engine_of(app, Work.COSTLY).connect():
            pass  # There is a place for it.

    log = capsys.readouterr().out
    assert "CancelledError" not in log
    assert "s for a shared statement that was not sent yet; pool `costly statements`: 1 of 1" in log


async def test_the_cause_of_a_full_pool_is_logged(
    settings: Settings, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    configure_logs(settings)
    async with running(settings, database_pool_size=1) as (app, client):
        monkeypatch.setattr(pool_of(app, Work.PAGES), "_timeout", 0.1)
        async with engine_of(app, Work.PAGES).connect():
            await error_of(await client.get("/item"), 503, "Unavailable")

    cause = (
        "waited 0.1 s for a connection; pool `pages`: 1 of 1 connections in use, 0 others waiting"
    )
    assert cause in capsys.readouterr().out


async def test_the_cause_of_a_statement_that_never_returns_is_logged(
    settings: Settings,
    gate: AsyncConnection,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    del gate
    configure_logs(settings)
    # As if the statement had begun late: the deadline of the request comes first.
    monkeypatch.setattr(database, "SERVER_SHARE", 2)
    monkeypatch.setattr(database, "DRIVER_SHARE", 2)
    async with running(settings, request_timeout=0.2) as (app, client):
        # So that the time is only that of the statement.
        async with engine_of(app, Work.COSTLY).connect():
            pass
        await error_of(await client.get(COSTLY), 504, "DeadlineExceeded")
    async with running(settings, database_statement_timeout=0.1) as (_, client):
        await error_of(await client.get(COSTLY), 504, "DeadlineExceeded")
    log = capsys.readouterr().out

    state = "pool `costly statements`: 1 of 1"
    assert re.search(rf"waited \d\.\d s for a shared statement; {state}", log)
    assert re.search(rf"statement timeout; waited \d\.\d s for a statement; {state}", log)


async def test_the_cause_of_a_failed_commit_is_logged(
    settings: Settings,
    engine: AsyncEngine,
    client: Client,
    capsys: pytest.CaptureFixture[str],
) -> None:
    configure_logs(settings)
    await run(engine, SLOW_COMMIT)
    try:
        headers = {"Idempotency-Key": "slow-commit"}
        posted = asyncio.create_task(client.post("/item", json=item(), headers=headers))
        await until(engine, ASLEEP, 1)
        await run(engine, TERMINATE)
        response = await posted
    finally:
        await run(engine, "DROP FUNCTION rest CASCADE")
    await error_of(response, 503, "DatabaseError")

    assert "s for a commit; pool `transactions`: 1 of 2 connections" in capsys.readouterr().out


@pytest.mark.limit("REQUESTS_IN_PROGRESS")
async def test_large_bodies_that_wait_for_their_turn_leave_room_for_others(
    settings: Settings, empty_database: None
) -> None:
    async with running(settings, max_body_bytes=2 * SMALL_BODY_BYTES) as (app, client):
        end = await app.long_steps.start()
        large = [
            asyncio.create_task(client.post("/item", json={"name": "n" * SMALL_BODY_BYTES}))
            for _ in range(limits.REQUESTS_IN_PROGRESS.value + 1)
        ]
        async with asyncio.timeout(30):
            # It has no event for it.
            while len(app.long_steps) + len(app.large_bodies.places) < len(large):  # noqa: ASYNC110
                await asyncio.sleep(0)
        response = await client.get("/item")
        end()
        answered = await codes(large)

        assert nobody_is_in_progress(app)

    assert response.status_code == 200
    assert answered == [422] * len(large)


async def test_a_refused_change_reads_on_the_connections_of_reads(
    settings: Settings, empty_database: None
) -> None:
    # Not the application of all tests, in which a read that takes long is restarted.
    async with running(settings) as (app, client):
        await client.post("/item", json=item())
        with statements(app) as sent:
            answer = await client.delete("/item/1", headers={"If-Match": '"2"'})

    await error_of(answer, 412, "PreconditionFailed")
    assert [one.work for one in sent] == [Work.WRITES, Work.READS]


async def test_the_time_that_a_statement_of_a_client_takes_counts_for_its_turns(
    settings: Settings, empty_database: None
) -> None:
    async with running(settings) as (app, client):
        CLIENT.set("one")
        await app.database.reader().execute(text("SELECT pg_sleep(0.05)"))
        used = vars(pool_of(app, Work.READS).places)["_used"]
        # A shared statement is of no client.
        await client.get("/item/1")

    assert used.keys() == {"one"}
    assert used["one"] >= 0.05
