"""Failures because of a concurrent transaction: a single statement is tried once more."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from service.common.database.work import LOCK_TIMEOUTS, Work
from service.settings import Settings
from tests.client import Client
from tests.envelope import error_of
from tests.factories import item
from tests.integration.test_batching import LOCKED, before_each_read, run
from tests.integration.test_database_faults import client_with
from tests.waiting import until

LINE = '{"name": "Ada", "email": "new@example.org"}'
NEW = {"name": "Ada", "email": "new@example.org"}
FAILING = """
CREATE SEQUENCE try;
CREATE FUNCTION fail() RETURNS void LANGUAGE plpgsql AS $$ BEGIN
    IF nextval('try') <= {failures} THEN
        RAISE EXCEPTION 'concurrent' USING ERRCODE = '{state}';
    END IF;
END $$;
"""
NOT_FAILING = "DROP FUNCTION fail; DROP SEQUENCE try"
BEFORE_WRITES = """
CREATE FUNCTION fail_write() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    PERFORM fail(); RETURN NULL;
END $$;
CREATE TRIGGER fail BEFORE INSERT OR UPDATE OR DELETE ON item EXECUTE FUNCTION fail_write()
"""
# Longer than a write waits before it continues as a blocked one.
LOCKED_FOR_LONG = f"{LOCKED} AND clock_timestamp() - query_start > '50ms'"
CONCURRENT = (
    "The change conflicts with a concurrent one. Try again after the time in `Retry-After`."
)


@asynccontextmanager
async def failing(engine: AsyncEngine, state: str, failures: int) -> AsyncIterator[None]:
    """Let `fail()` raise that SQLSTATE as many times."""
    await run(engine, FAILING.format(state=state, failures=failures))
    try:
        yield
    finally:
        await run(engine, NOT_FAILING)


@asynccontextmanager
async def failing_writes(engine: AsyncEngine, state: str, failures: int) -> AsyncIterator[None]:
    """Let as many statements that write items fail."""
    async with failing(engine, state, failures):
        await run(engine, BEFORE_WRITES)
        try:
            yield
        finally:
            await run(engine, "DROP FUNCTION fail_write CASCADE")


async def tries(engine: AsyncEngine) -> int:
    async with engine.connect() as connection:
        return int(await connection.scalar(text("SELECT last_value FROM try")) or 0)


SINGLE = {
    "create": ("POST", "/item", NEW),
    "update": ("PUT", "/item/1", {"name": "Zed"}),
    "rename": ("PUT", "/item/1", NEW),
    "delete": ("DELETE", "/item/1", None),
}


@pytest.mark.parametrize(("state", "failures"), [("40001", 1), ("40P01", 2)])
@pytest.mark.parametrize("write", SINGLE.values(), ids=list(SINGLE))
async def test_a_single_write_is_tried_once_more(
    client: Client, engine: AsyncEngine, state: str, failures: int, write: tuple[str, str, object]
) -> None:
    method, path, values = write
    created = await client.post("/item", json=item())
    async with failing_writes(engine, state, failures):
        response = await client.open(path, method=method, json=values)
        assert await tries(engine) == 2

    if failures == 1:
        assert response.status_code in {200, 201}
    else:
        error = await error_of(response, 503, "Unavailable")
        assert error["message"].startswith(CONCURRENT)
        assert response.headers["Retry-After"] == "1"
        unchanged = await client.get("/item/1")
        assert await unchanged.get_json() == await created.get_json()


@pytest.mark.parametrize(
    ("path", "failures", "status", "most"),
    [
        ("/item/1", 1, 200, 2),
        ("/item/1", 2, 503, 2),
        ("/item", 1, 200, 2),
        ("/item", 2, 503, 2),
        # A search has another statement after the repeated one.
        ("/item?q=ada", 1, 200, 3),
        ("/item?q=ada", 2, 503, 2),
    ],
)
async def test_a_read_is_tried_once_more(
    client: Client, engine: AsyncEngine, path: str, failures: int, status: int, most: int
) -> None:
    """As on a standby, whose replay of the primary's changes ends reads that it conflicts with."""
    await client.post("/item", json=item())
    async with failing(engine, "40001", failures), before_each_read(engine, "fail()"):
        response = await client.get(path)
        assert (response.status_code, await tries(engine)) == (status, most)


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (LINE, {"Idempotency-Key": "k", "Content-Type": "application/json"}),
        (LINE, {"Content-Type": "application/x-ndjson"}),
    ],
    ids=["with a key", "import"],
)
async def test_a_transaction_is_not_tried_again(
    client: Client, engine: AsyncEngine, body: str, headers: dict[str, str]
) -> None:
    async with failing_writes(engine, "40001", 1):
        response = await client.post("/item", data=body, headers=headers)
        assert await tries(engine) == 1
        error = await error_of(response, 503, "Unavailable")
        repeated = await client.post("/item", data=body, headers=headers)

    assert error["message"].startswith(CONCURRENT)
    assert repeated.status_code == 201


def with_session(settings: Settings, parameters: str) -> Settings:
    """Return the settings with settings of the database's sessions."""
    assert settings.database_url is not None
    url = f"{settings.database_url.get_secret_value()}&{parameters}"
    return Settings.model_validate({**settings.model_dump(), "database_url": url})


async def test_a_write_survives_a_change_behind_its_snapshot(
    settings: Settings, engine: AsyncEngine, empty_database: None
) -> None:
    strict = with_session(settings, "default_transaction_isolation=repeatable%20read")
    async with client_with(strict) as client:
        await client.post("/item", json=item())
        async with engine.begin() as other:
            await other.execute(text("UPDATE item SET name = 'Eve'"))
            writing = asyncio.create_task(client.put("/item/1", json={"name": "Zed"}))
            await until(engine, LOCKED, 1)
        response = await writing

    assert (response.status_code, (await response.get_json())["name"]) == (200, "Zed")


async def test_a_write_survives_a_deadlock(
    settings: Settings, engine: AsyncEngine, empty_database: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It holds the record and waits for the other's e-mail; the other waits for the record."""
    # So that no other limit ends the wait before the write looks for a deadlock, once.
    monkeypatch.setitem(LOCK_TIMEOUTS, Work.BLOCKED, "0")
    detecting = with_session(settings, "deadlock_timeout=1s")
    async with client_with(detecting) as client, engine.connect() as other:
        await client.post("/item", json=item())
        await other.execute(text("SET deadlock_timeout = '1min'"))
        await other.execute(
            text("INSERT INTO item (name, email) VALUES ('Eve', 'new@example.org')")
        )
        writing = asyncio.create_task(client.put("/item/1", json=NEW))
        await until(engine, LOCKED_FOR_LONG, 1)
        await other.execute(text("UPDATE item SET name = 'Eve' WHERE id = 1"))
        await other.rollback()
        response = await writing

    assert (response.status_code, (await response.get_json())["email"]) == (200, NEW["email"])
