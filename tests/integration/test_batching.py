"""Requests that share a statement, on a PostgreSQL that answers when the test lets it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from service.common.database import database
from service.common.resource import batches
from service.common.web import App
from service.settings import Settings
from tests.app import create_app
from tests.client import Client
from tests.envelope import error_of
from tests.factories import item
from tests.waiting import until

WAITING = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'advisory'"
LOCKED = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
WAIT = "pg_advisory_lock_shared(42), pg_advisory_unlock_shared(42)"
SLEEP = "pg_sleep(0.05)"
GATE = """
CREATE FUNCTION gate() RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN
    PERFORM {what}; RETURN true;
END $$;
ALTER TABLE item RENAME TO kept;
CREATE VIEW item AS SELECT kept.* FROM kept, gate() AS open WHERE open
"""
NO_GATE = "DROP VIEW item; ALTER TABLE kept RENAME TO item; DROP FUNCTION gate"


async def run(engine: AsyncEngine, script: str) -> None:
    async with engine.begin() as connection:
        raw = await connection.get_raw_connection()
        assert raw.driver_connection is not None
        await raw.driver_connection.execute(script)


@asynccontextmanager
async def before_each_read(engine: AsyncEngine, what: str) -> AsyncIterator[None]:
    """Have every read of `item` do something, behind its snapshot."""
    await run(engine, GATE.format(what=what))
    try:
        yield
    finally:
        await run(engine, NO_GATE)


@pytest.fixture
async def app(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[App]:
    """Return an application whose cheap reads may take long, so that none is restarted."""
    monkeypatch.setattr(database, "CHEAP_READ_SECONDS", 60)
    app = create_app(settings)
    async with app.test_app():
        yield app


@pytest.fixture
async def gate(engine: AsyncEngine, client: Client) -> AsyncIterator[AsyncConnection]:
    """Have every read of `item` wait, with what it sees, until the connection's lock is gone."""
    del client  # The table is emptied while it is one.
    async with before_each_read(engine, WAIT), engine.connect() as connection:
        yield connection


async def test_batches_that_are_busy_leave_connections_for_the_others(
    settings: Settings, engine: AsyncEngine, empty_database: None
) -> None:
    app = create_app(settings.model_copy(update={"database_pool_size": 2}))
    stop = asyncio.Event()

    async def ask(path: str) -> None:
        while not stop.is_set():
            assert (await app.test_client().get(path)).status_code == 200

    async with before_each_read(engine, SLEEP), app.test_app():
        # The first one opens connections, which takes long on a busy machine.
        await app.test_client().get("/readyz")
        busy = [asyncio.create_task(ask(f"/item?limit={1 + number % 2}")) for number in range(6)]
        codes = [(await app.test_client().get("/readyz")).status_code for _ in range(5)]
        stop.set()
        await asyncio.gather(*busy)

    assert codes == [200] * 5


@pytest.mark.parametrize("path", ["/item/1", "/item", "/item?only=name", "/item/1?only=name"])
async def test_a_read_sees_what_was_committed_before_it_whatever_is_in_flight(
    app: App, client: Client, engine: AsyncEngine, gate: AsyncConnection, path: str
) -> None:
    async with engine.begin() as connection:
        await connection.execute(text("INSERT INTO kept (name, email) VALUES ('old', 'a@b.org')"))
    await gate.execute(text("SELECT pg_advisory_lock(42)"))
    early = asyncio.create_task(client.get(path))
    await until(engine, WAITING, 1)
    async with engine.begin() as connection:
        await connection.execute(text("UPDATE kept SET name = 'new'"))
    late = [asyncio.create_task(client.get(path)) for _ in range(5)]
    reader = app.database.reader()
    session = reader if path.startswith("/item/1") else reader.pages
    waiting = vars(session.batches)["_batches"]
    async with asyncio.timeout(30):
        # Polling: a batch has no event for this.
        while sum(len(vars(batch)["_waiting"]) for batch in waiting.values()) < len(late):  # noqa: ASYNC110
            await asyncio.sleep(0)
    await gate.execute(text("SELECT pg_advisory_unlock(42)"))

    assert "old" in await (await early).get_data(as_text=True)
    for answer in await asyncio.gather(*late):
        assert "new" in await answer.get_data(as_text=True)


async def test_every_client_sees_its_own_writes(client: Client) -> None:
    ids = [(await (await client.post("/item", json=item())).get_json())["id"] for _ in range(20)]

    async def write_and_read(number: int) -> None:
        for turn in range(20):
            name = f"Name {number} {turn}"
            changed = await client.put(f"/item/{number}", json={"name": name})
            found = await (await client.get(f"/item/{number}")).get_json()
            listed = await (await client.get("/item")).get_json()

            assert changed.status_code == 200
            assert found == await changed.get_json()
            assert [one["name"] for one in listed if one["id"] == number] == [name]

    await asyncio.gather(*map(write_and_read, ids))


async def test_new_records_that_come_together_share_a_statement(
    client: Client, engine: AsyncEngine
) -> None:
    payloads = [item() for _ in range(40)]
    answers = await asyncio.gather(*(client.post("/item", json=one) for one in payloads))
    for payload, answer in zip(payloads, answers, strict=True):
        stored = await (await client.get(answer.headers["Location"])).get_json()

        assert (stored["name"], stored["email"]) == (payload["name"], payload["email"])

    async with engine.connect() as connection:
        statements = await connection.scalar(text("SELECT count(DISTINCT xmin::text) FROM item"))

    assert [answer.status_code for answer in answers] == [201] * 40
    assert statements is not None
    assert statements < 40


@pytest.mark.limit("SHARED_CHARACTERS")
@pytest.mark.parametrize("method", ["POST", "PUT"])
async def test_only_writes_of_short_texts_share_a_statement(
    client: Client, engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    # Of the name and, for a new record, its email; the names of an item are shorter than the limit.
    monkeypatch.setattr(batches, "SHARED_CHARACTERS", 40 if method == "PUT" else 60)
    for _ in range(20):
        await client.post("/item", json=item())
    names = ["n" * 40] * 10 + ["n" * 41] * 10
    paths = [f"/item/{n + 1}" if method == "PUT" else "/item" for n in range(20)]
    payloads = [
        {"name": name, "email": f"{n:08}@example.org"} if method == "POST" else {"name": name}
        for n, name in enumerate(names)
    ]
    answers = await asyncio.gather(
        *(
            client.open(path, method=method, json=one)
            for path, one in zip(paths, payloads, strict=True)
        )
    )
    count = "SELECT count(DISTINCT xmin::text) FROM item WHERE char_length(name) = {}"
    async with engine.connect() as connection:
        short, long = [await connection.scalar(text(count.format(n))) for n in (40, 41)]

    assert {answer.status_code for answer in answers} <= {200, 201}
    assert short < 10
    assert long == 10


async def test_of_twins_that_come_together_one_is_stored_and_the_rest_goes_its_way(
    client: Client, engine: AsyncEngine
) -> None:
    await client.post("/item", json=item(email="taken@example.org"))
    payloads = [item() for _ in range(10)]
    payloads += [item(email="twin@example.org") for _ in range(5)]
    payloads += [item(email="taken@example.org")] * 5
    answers = await asyncio.gather(*(client.post("/item", json=one) for one in payloads))
    codes = [answer.status_code for answer in answers]

    assert codes[:10] == [201] * 10
    assert sorted(codes[10:15]) == [201, 409, 409, 409, 409]
    assert codes[15:] == [409] * 5
    await error_of(answers[-1], 409, "RecordAlreadyExists")
    async with engine.connect() as connection:
        assert await connection.scalar(text("SELECT count(*) FROM item")) == 12


@asynccontextmanager
async def held(engine: AsyncEngine, statement: str) -> AsyncIterator[None]:
    """Run a statement in a transaction that stays open, and roll it back."""
    async with engine.connect() as connection:
        await connection.execute(text(statement))
        yield
        await connection.rollback()


async def test_no_request_waits_for_an_email_that_another_is_storing(
    client: Client, engine: AsyncEngine
) -> None:
    statement = "INSERT INTO item (name, email) VALUES ('Held', 'held@example.org')"
    async with held(engine, statement):
        blocked = asyncio.create_task(client.post("/item", json=item(email="held@example.org")))
        others = await asyncio.gather(*(client.post("/item", json=item()) for _ in range(10)))
        await until(engine, LOCKED, 1)

        assert [answer.status_code for answer in others] == [201] * 10
        assert not blocked.done()

    assert (await blocked).status_code == 201


async def test_no_request_waits_for_a_record_that_another_is_changing(
    client: Client, engine: AsyncEngine
) -> None:
    for _ in range(3):
        await client.post("/item", json=item())
    async with held(engine, "SELECT 1 FROM item WHERE id = 1 FOR UPDATE"):
        blocked = asyncio.create_task(client.put("/item/1", json={"name": "One"}))
        others = await asyncio.gather(
            *(client.put(f"/item/{number}", json={"name": "Other"}) for number in (2, 3, 2, 3))
        )
        await until(engine, LOCKED, 1)

        assert [answer.status_code for answer in others] == [200] * 4
        assert not blocked.done()

    assert (await (await blocked).get_json())["name"] == "One"


async def test_changes_of_one_record_that_come_together_are_all_made(client: Client) -> None:
    await client.post("/item", json=item())
    answers = await asyncio.gather(
        *(client.put("/item/1", json={"name": f"Name {number}"}) for number in range(20))
    )

    assert sorted(int(answer.headers["ETag"].strip('"')) for answer in answers) == [*range(2, 22)]
    for number, answer in enumerate(answers):
        assert (await answer.get_json())["name"] == f"Name {number}"


async def test_a_call_for_a_missing_record_gets_a_404_within_a_batch(client: Client) -> None:
    await client.post("/item", json=item())
    paths = ["/item/1", "/item/2", "/item/1", "/item/99999999999999999999"]
    reads = await asyncio.gather(*(client.get(path) for path in paths))
    writes = await asyncio.gather(*(client.put(path, json={"name": "Zed"}) for path in paths))

    assert [answer.status_code for answer in reads] == [200, 404, 200, 404]
    assert [answer.status_code for answer in writes] == [200, 404, 200, 404]
