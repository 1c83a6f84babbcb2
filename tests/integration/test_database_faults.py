"""A database that is down, busy, slow or refuses, and health."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import cast

import pytest
from pydantic import SecretStr
from quart.wrappers import Response
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from service import limits
from service.common.database.work_pool import WorkPool
from service.common.web.drain import begin_drain
from service.logs import configure_logs
from service.settings import Settings
from tests.app import create_app
from tests.client import Client
from tests.counted import counted
from tests.envelope import error_of
from tests.factories import item
from tests.integration.test_batching import WAIT, WAITING, before_each_read
from tests.waiting import SECONDS, until

END_OTHERS = """
SELECT count(pg_terminate_backend(pid, 5000)) FROM pg_stat_activity
WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()
"""


@asynccontextmanager
async def client_with(settings: Settings, **changes: object) -> AsyncIterator[Client]:
    app = create_app(settings.model_copy(update=changes))
    async with app.test_app():
        yield cast("Client", app.test_client())


@pytest.mark.error("503 DatabaseError")
@pytest.mark.parametrize("path", ["/item", "/readyz", "/item/1"])
async def test_a_database_that_is_down_is_a_503(settings: Settings, path: str) -> None:
    nowhere = SecretStr("postgresql://nobody@127.0.0.1:1/nothing")
    async with client_with(settings, database_url=nowhere) as client:
        response = await client.get(path)
    error = await error_of(response, 503, "DatabaseError")

    assert response.headers["Retry-After"] == "1"
    assert "127.0.0.1" not in error["message"]


async def test_a_database_that_refuses_is_a_503(settings: Settings) -> None:
    assert settings.database_url is not None
    missing = settings.database_url.get_secret_value().replace("/postgres?", "/missing?")
    async with client_with(settings, database_url=SecretStr(missing)) as client:
        await error_of(await client.get("/item"), 503, "DatabaseError")


async def test_the_process_lives_without_a_database(settings: Settings) -> None:
    nowhere = SecretStr("postgresql://nobody@127.0.0.1:1/nothing")
    async with client_with(settings, database_url=nowhere) as client:
        response = await client.get("/livez")

    assert (response.status_code, await response.get_json()) == (200, {"status": "alive"})


@pytest.mark.error("503 Unavailable")
@pytest.mark.limit("POOL_WAIT_SECONDS")
async def test_a_request_waits_for_a_connection_and_is_a_503_if_it_gets_none(
    settings: Settings, empty_database: None
) -> None:
    app = create_app(settings.model_copy(update={"database_pool_size": 1}))
    async with app.test_app():
        engines = vars(app.database)["_engines"].values()
        pools = [cast("WorkPool", engine.pool) for engine in engines]
        reads = app.database.engine
        connection = await reads.connect()
        waiter = asyncio.create_task(app.test_client().get("/item/7"))
        async with asyncio.timeout(30):
            while not any(pool.waiting for pool in pools):  # noqa: ASYNC110  # Polling: there is no event.
                await asyncio.sleep(0)
        await connection.close()
        in_time = await waiter
        async with reads.connect():
            with counted("POOL_WAIT_SECONDS"):
                late = await app.test_client().get("/item/7")
    await error_of(late, 503, "Unavailable")

    assert in_time.status_code == 404
    assert late.headers["Retry-After"] == "1"
    assert {pool.timeout() for pool in pools} == {limits.POOL_WAIT_SECONDS.value}


@pytest.mark.limit("STATEMENT_SECONDS")
async def test_a_statement_that_ends_in_time_is_answered(
    settings: Settings, engine: AsyncEngine, client: Client
) -> None:
    seconds = limits.STATEMENT_SECONDS.value
    await client.post("/item", json=item())
    async with (
        before_each_read(engine, WAIT),
        engine.connect() as gate,
        client_with(settings, database_statement_timeout=seconds, request_timeout=30) as slow,
    ):
        await gate.execute(text("SELECT pg_advisory_lock(42)"))
        reading = asyncio.create_task(slow.get("/item"))
        await until(engine, WAITING, 1)
        await gate.execute(text("SELECT pg_advisory_unlock(42)"))
        response = await reading
        reader = slow.app.database.reader()
        timeout = await reader.costly.scalar(text("SHOW statement_timeout"))

    assert response.status_code == 200
    assert timeout == f"{seconds}s"


@pytest.mark.limit("STATEMENT_SECONDS")
async def test_a_statement_that_takes_too_long_is_a_504_and_changes_nothing(
    settings: Settings, engine: AsyncEngine, empty_database: None
) -> None:
    async with client_with(settings, database_statement_timeout=0.5) as client:
        created = await (await client.post("/item", json=item())).get_json()
        async with engine.begin() as connection:
            await connection.execute(text("SELECT FROM item FOR UPDATE"))
            response = await client.put("/item/1", json={"name": "Zed"})
        await error_of(response, 504, "DeadlineExceeded")

        assert await (await client.get("/item/1")).get_json() == created


async def test_no_request_sees_that_an_idle_connection_was_closed(
    settings: Settings, engine: AsyncEngine, empty_database: None
) -> None:
    app = create_app(settings.model_copy(update={"database_pool_size": 1}))
    async with app.test_app(), engine.connect() as connection:
        async with app.database.engine.connect() as pooled:
            pid = (await pooled.execute(text("SELECT pg_backend_pid()"))).scalar_one()
        await connection.execute(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": pid})
        client = app.test_client()

        assert (await client.get("/item")).status_code == 200


async def test_ready_means_database_and_schema(client: Client) -> None:
    response = await client.get("/readyz")

    assert response.status_code == 200
    assert (await response.get_json())["status"] == "ready"


async def eventually(client: Client, status: int) -> Response:
    """Return the first response of `/readyz` with this status."""
    async with asyncio.timeout(SECONDS):
        while True:
            response = await client.get("/readyz")
            if response.status_code == status:
                return response
            await asyncio.sleep(0.05)  # Between two looks, not instead of one.


@pytest.mark.parametrize(("revision", "status"), [("unknown-and-so-newer", 200), (None, 503)])
async def test_a_newer_schema_is_ready_and_none_is_not(
    client: Client, engine: AsyncEngine, revision: str | None, status: int
) -> None:
    async with engine.begin() as connection:
        head = (
            await connection.execute(text("SELECT version_num FROM alembic_version"))
        ).scalar_one()
        await connection.execute(
            text("UPDATE alembic_version SET version_num = :new"), {"new": revision or ""}
        )
        if revision is None:
            await connection.execute(text("DELETE FROM alembic_version"))
    try:
        # The answer of the database holds for a second.
        response = await eventually(client, status)
    finally:
        async with engine.begin() as connection:
            await connection.execute(text("DELETE FROM alembic_version"))
            await connection.execute(
                text("INSERT INTO alembic_version VALUES (:head)"), {"head": head}
            )

    assert response.status_code == status


async def test_while_draining_only_readiness_fails_and_connections_close(
    settings: Settings,
) -> None:
    app = create_app(settings)
    async with app.test_app():
        client = app.test_client()
        begin_drain(app)
        begin_drain(app)
        await error_of(await client.get("/readyz"), 503, "Unavailable")
        response = await client.get("/item")

        assert response.status_code == 200
        assert response.headers["Connection"] == "close"
        assert (await client.get("/livez")).status_code == 200


@pytest.fixture
async def changed_column(engine: AsyncEngine) -> AsyncIterator[Callable[[], Awaitable[None]]]:
    """Return a change of a column's type, which is taken back afterwards."""

    async def alter(type_: str) -> None:
        async with engine.begin() as connection:
            await connection.execute(text(f"ALTER TABLE item ALTER row_version TYPE {type_}"))

    yield partial(alter, "numeric")
    await alter("bigint")
    # Behind a pooler the next tests would meet the plans of this one's sessions.
    async with engine.connect() as connection:
        await connection.execute(text(END_OTHERS))


async def test_a_read_survives_a_migration_and_a_write_may_be_repeated(
    settings: Settings,
    empty_database: None,
    changed_column: Callable[[], Awaitable[None]],
) -> None:
    async with client_with(settings, database_pool_size=1) as client:
        await client.post("/item", json=item())
        first = await client.get("/item/1")
        await client.put("/item/1", json={"name": "Zed"})
        await changed_column()
        again = await client.get("/item/1")

        assert (first.status_code, again.status_code) == (200, 200)
        assert (await again.get_json())["name"] == "Zed"


async def test_a_write_with_a_stale_plan_is_a_503_and_its_repetition_succeeds(
    settings: Settings,
    empty_database: None,
    changed_column: Callable[[], Awaitable[None]],
) -> None:
    async with client_with(settings, database_pool_size=1) as client:
        await client.post("/item", json=item())
        await client.put("/item/1", json=item())
        await changed_column()
        response = await client.put("/item/1", json=item())
        await error_of(response, 503, "Unavailable")

        assert response.headers["Retry-After"] == "1"
        assert (await client.put("/item/1", json=item())).status_code == 200


async def test_a_batch_of_writes_with_a_stale_plan_is_done_one_by_one(
    settings: Settings,
    empty_database: None,
    changed_column: Callable[[], Awaitable[None]],
) -> None:
    async with client_with(settings, database_pool_size=1) as client:
        await client.post("/item", json=item())
        await client.put("/item/1", json={"name": "Zed"})
        await changed_column()
        response = await client.put("/item/1", json={"name": "Ada"})

        assert (response.status_code, (await response.get_json())["name"]) == (200, "Ada")


async def test_a_right_that_is_missing_is_a_503(
    settings: Settings, engine: AsyncEngine, empty_database: None
) -> None:
    assert settings.database_url is not None
    async with engine.begin() as connection:
        await connection.execute(text("CREATE ROLE nobody LOGIN"))
    url = settings.database_url.get_secret_value().replace("postgres@", "nobody@")
    try:
        async with client_with(settings, database_url=SecretStr(url)) as client:
            await error_of(await client.get("/item"), 503, "DatabaseError")
    finally:
        async with engine.begin() as connection:
            await connection.execute(text("DROP ROLE nobody"))


async def test_an_expected_error_is_one_line_of_log_with_its_cause(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    nowhere = SecretStr("postgresql://nobody:hidden@127.0.0.1:1/nothing")
    configure_logs(settings)
    async with client_with(settings, database_url=nowhere) as client:
        await client.get("/item")
    log = capsys.readouterr().out

    assert log.count("DatabaseError") == 1
    assert "Connect call failed" in log
    assert "Traceback" not in log
    assert "hidden" not in log
