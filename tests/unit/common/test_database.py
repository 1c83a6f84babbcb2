"""Connections and sessions: open with the application, rolled back unless committed."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest
from sqlalchemy import delete, func, insert, literal_column, select, text
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncEngine

from service.common.database.database import Database, commit
from service.common.database.texts import SHAPES
from service.common.database.work import Work, pool_sizes
from service.common.resource.indexes import is_indexed
from service.settings import Settings
from tests import factories
from tests.blueprints.item.backend import ITEM
from tests.blueprints.item.models import Item

IDLE = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'closing'"


@pytest.fixture
async def database(database_url: str, empty_database: None) -> AsyncIterator[Database]:
    """Return open connections to empty tables."""
    del empty_database
    database = Database(Settings(database_url=database_url, database_pool_size=2))
    await database.open()
    yield database
    await database.close()


async def count(engine: AsyncEngine) -> int:
    async with engine.connect() as connection:
        return int(await connection.scalar(text("SELECT count(*) FROM item")) or 0)


def test_before_it_is_open_a_database_says_so() -> None:
    with pytest.raises(RuntimeError, match="not open"):
        Database(Settings()).transaction()


async def test_a_database_that_was_never_opened_can_be_closed() -> None:
    database = Database(Settings())
    await database.close()

    with pytest.raises(RuntimeError, match="not open"):
        _ = database.engine


async def test_a_closed_database_leaves_no_connection(
    database_url: str, engine: AsyncEngine
) -> None:
    separator = "&" if "?" in database_url else "?"
    database = Database(Settings(database_url=f"{database_url}{separator}application_name=closing"))
    await database.open()
    assert await database.single_write().scalar(text(IDLE)) == 1
    await database.close()

    async with engine.connect() as connection:
        assert await connection.scalar(text(IDLE)) == 0
    with pytest.raises(RuntimeError, match="not open"):
        _ = database.engine


async def test_a_writers_work_is_rolled_back_by_default(
    database: Database, engine: AsyncEngine
) -> None:
    async with database.transaction() as session:
        await session.execute(insert(Item).values(factories.item()))

    assert await count(engine) == 0


async def test_a_writers_work_is_not_seen_before_the_commit(
    database: Database, engine: AsyncEngine
) -> None:
    async with database.transaction() as session:
        await session.execute(insert(Item).values(factories.item()))

        assert await count(engine) == 0

        await commit(session)

        assert await count(engine) == 1


async def test_a_record_can_be_read_after_the_commit_without_another_query(
    database: Database,
) -> None:
    async with database.transaction() as session:
        statement = insert(Item).values(factories.item(name="Ada")).returning(Item)
        item = (await session.scalars(statement)).one()
        await commit(session)

    assert item.name == "Ada"


async def test_with_autocommit_each_statement_stands_alone(database: Database) -> None:
    session = database.single_write()
    first = await session.scalar(text("SELECT pg_current_xact_id()::text"))
    second = await session.scalar(text("SELECT pg_current_xact_id()::text"))

    assert first != second


async def test_with_autocommit_a_statement_is_durable_when_it_returns(
    database: Database, engine: AsyncEngine
) -> None:
    await database.single_write().execute(insert(Item).values(factories.item()))

    assert await count(engine) == 1


async def test_a_second_write_that_stands_alone_is_refused(
    database: Database, engine: AsyncEngine
) -> None:
    session = database.single_write()
    await ITEM.insert(session, factories.item())

    with pytest.raises(RuntimeError, match=r"session\(\)"):
        await ITEM.insert(session, factories.item())
    with pytest.raises(RuntimeError, match=r"session\(\)"):
        await session.execute(delete(Item))
    assert await session.scalar(select(func.count()).select_from(Item)) == 1
    assert await count(engine) == 1


async def test_a_reader_refuses_writes(database: Database, engine: AsyncEngine) -> None:
    with pytest.raises(RuntimeError, match=r"session\(\)"):
        await database.reader().execute(insert(Item).values(factories.item()))
    with pytest.raises(RuntimeError, match=r"session\(\)"):
        await ITEM.insert(database.reader(), factories.item())
    assert await count(engine) == 0


async def test_a_writers_statements_share_a_transaction(database: Database) -> None:
    async with database.transaction() as session:
        first = await session.scalar(text("SELECT pg_current_xact_id()::text"))
        second = await session.scalar(text("SELECT pg_current_xact_id()::text"))

    assert first == second


async def test_no_more_connections_are_made_than_the_pool_holds(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The wait is two seconds for clients; a test need not wait.
    monkeypatch.setattr(database.engine.pool, "_timeout", 0)
    async with database.engine.connect():
        with pytest.raises(PoolTimeoutError):
            await database.reader().execute(text("SELECT 1"))


@pytest.mark.parametrize("turns", range(6))
async def test_a_request_that_ends_while_a_lost_connection_is_replaced_keeps_no_place(
    database: Database, engine: AsyncEngine, turns: int
) -> None:
    """It is cancelled after so many turns of the event loop."""
    async with database.engine.connect() as pooled:
        pid = await pooled.scalar(text("SELECT pg_backend_pid()"))
    async with engine.connect() as connection:
        await connection.execute(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": pid})
    request = asyncio.create_task(database.reader().scalar(text("SELECT 1")))
    for _ in range(turns):
        await asyncio.sleep(0)
    request.cancel()
    with suppress(asyncio.CancelledError):
        await request

    assert database.pools()[Work.READS].checkedout() == 0


async def test_an_engine_keeps_few_compiled_statements(database: Database) -> None:
    """Clients can ask for many, and there is an engine for each kind of work."""
    for number in range(2 * SHAPES):
        await database.reader().execute(select(literal_column(str(number))))
    kept = vars(database.engine.sync_engine)["_compiled_cache"]

    # SQLAlchemy keeps half as many more until it drops them together.
    assert SHAPES / 2 < len(kept) <= 1.5 * SHAPES


def test_the_orders_that_clients_ask_for_are_not_all_kept() -> None:
    assert is_indexed.cache_info().maxsize is not None


@pytest.mark.parametrize("connections", [1, 3, 4, 5, 10, 20, 1000])
def test_connections_are_divided_among_the_kinds_of_work(connections: int) -> None:
    sizes = pool_sizes(connections)
    more = {Work.PAGES, Work.HEALTH, Work.BULK, Work.COSTLY_EXPORTS}
    requests = {work: size for work, size in sizes.items() if work not in more}

    assert min(sizes.values()) >= 1
    assert sum(requests.values()) == max(connections, 6)
    assert sizes[Work.READS] == max(requests.values())
