"""Idempotency keys: repeating a request is safe."""

import asyncio
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from service import limits, maintenance
from service.common.database.database import Database
from service.common.idempotency import backend
from service.common.idempotency.payloads import IdempotencyKeyHeader
from service.common.web import App
from tests.client import Client
from tests.envelope import error_of
from tests.factories import item

KEY = {"Idempotency-Key": "order-17"}


async def count(engine: AsyncEngine, table: str = "item") -> int:
    """Return how many records there really are."""
    async with engine.connect() as connection:
        return int(await connection.scalar(text(f"SELECT count(*) FROM {table}")) or 0)  # noqa: S608


async def test_a_repeated_request_gets_the_answer_of_the_first(
    client: Client, engine: AsyncEngine
) -> None:
    json = item()
    first = await client.post("/item", json=json, headers=KEY)
    again = await client.post("/item", json=json, headers=KEY)
    same = ("Content-Type", "Content-Length", "ETag", "Location")

    assert (first.status_code, again.status_code) == (201, 201)
    assert await again.get_data() == await first.get_data()
    assert [again.headers[name] for name in same] == [first.headers[name] for name in same]
    assert again.headers["X-Request-ID"] != first.headers["X-Request-ID"]
    assert again.headers["Idempotency-Replayed"] == "true"
    assert "Idempotency-Replayed" not in first.headers
    assert await count(engine) == 1


async def test_the_response_is_unchanged(client: Client) -> None:
    json = item()
    first = await client.post("/item", json=json, headers=KEY)
    url = first.headers["Location"]
    await client.put(url, json={"name": "Zed"})
    changed = await client.post("/item", json=json, headers=KEY)
    await client.delete(url)
    deleted = await client.post("/item", json=json, headers=KEY)

    assert await changed.get_data() == await deleted.get_data() == await first.get_data()
    assert deleted.headers["ETag"] == '"1"'


async def test_the_same_values_in_another_order_are_the_same_payload(client: Client) -> None:
    json = item()
    await client.post("/item", json=json, headers=KEY)
    turned = dict(reversed(json.items()))
    again = await client.post("/item", json=turned, headers=KEY)

    assert again.headers["Idempotency-Replayed"] == "true"


async def test_another_payload_under_the_key_is_a_422(client: Client, engine: AsyncEngine) -> None:
    await client.post("/item", json=item(), headers=KEY)
    error = await error_of(
        await client.post("/item", json=item(), headers=KEY), 422, "InvalidAPIRequest"
    )

    assert [fault["pointer"] for fault in error["errors"]] == ["/Idempotency-Key"]
    assert await count(engine) == 1


async def test_each_key_and_no_key_is_a_request_of_its_own(
    client: Client, engine: AsyncEngine
) -> None:
    for headers in (KEY, {"Idempotency-Key": "order-18"}, {}, {}):
        response = await client.post("/item", json=item(), headers=headers)
        assert response.status_code == 201
        assert "Idempotency-Replayed" not in response.headers

    assert await count(engine) == 4
    assert await count(engine, "idempotencykey") == 2


async def test_an_error_is_not_kept(client: Client, engine: AsyncEngine) -> None:
    taken = item()
    await client.post("/item", json=taken)
    await error_of(await client.post("/item", json=taken, headers=KEY), 409, "RecordAlreadyExists")
    await error_of(
        await client.post("/item", json={"name": "x"}, headers=KEY), 422, "InvalidAPIRequest"
    )
    kept = await count(engine, "idempotencykey")
    response = await client.post("/item", json=item(), headers=KEY)

    assert kept == 0
    assert response.status_code == 201


async def test_an_answer_that_can_not_be_kept_is_not_given(
    client: Client, engine: AsyncEngine
) -> None:
    async with engine.begin() as connection:
        await connection.execute(text("ALTER TABLE idempotencykey ADD CHECK (status <> 201)"))
    try:
        await error_of(await client.post("/item", json=item(), headers=KEY), 500, "InternalError")
    finally:
        async with engine.begin() as connection:
            drop = "ALTER TABLE idempotencykey DROP CONSTRAINT idempotencykey_status_check"
            await connection.execute(text(drop))
    stored = await count(engine)
    again = await client.post("/item", json=item(), headers=KEY)

    assert stored == 0
    assert again.status_code == 201


@pytest.mark.parametrize("key", ["a", "!~" * 127 + "x", "5f1c2b9e-8c4a-4a0e"])
async def test_a_key_is_any_visible_text(client: Client, key: str) -> None:
    response = await client.post("/item", json=item(), headers={"Idempotency-Key": key})

    assert response.status_code == 201


@pytest.mark.parametrize("key", ["", " ", "a b", "a" * 256, "\xfc", "a\x7f"])
async def test_any_other_key_is_a_422(client: Client, engine: AsyncEngine, key: str) -> None:
    error = await error_of(
        await client.post("/item", json=item(), headers={"Idempotency-Key": key}),
        422,
        "InvalidAPIRequest",
    )

    assert error["errors"][0]["pointer"] == "/Idempotency-Key"
    assert await count(engine) == 0


async def test_of_twins_at_the_same_time_one_is_done(client: Client, engine: AsyncEngine) -> None:
    json = item()
    answers = await asyncio.gather(
        *(client.post("/item", json=json, headers=KEY) for _ in range(8))
    )
    statuses = [answer.status_code for answer in answers]

    assert set(statuses) <= {201, 409}
    assert 201 in statuses
    for answer in answers:
        if answer.status_code == 409:
            await error_of(answer, 409, "RequestInProgress")
            assert answer.headers["Retry-After"] == "1"
    assert len({await one.get_data() for one in answers if one.status_code == 201}) == 1
    assert await count(engine) == 1


@pytest.mark.error("409 RequestInProgress")
async def test_while_the_first_is_running_a_repetition_is_a_409(
    client: Client, engine: AsyncEngine
) -> None:
    json = item()
    async with engine.begin() as first:
        # Like a request in progress that holds the key.
        session: Any = first
        assert await backend.lock_key(session, KEY["Idempotency-Key"])
        twin = await client.post("/item", json=json, headers=KEY)
        await error_of(twin, 409, "RequestInProgress")
    after = await client.post("/item", json=json, headers=KEY)

    assert twin.headers["Retry-After"] == "1"
    assert after.status_code == 201
    assert await count(engine) == 1


@pytest.mark.limit("IDEMPOTENCY_KEY_CHARACTERS")
async def test_a_key_of_the_most_characters_is_taken(client: Client) -> None:
    most = limits.IDEMPOTENCY_KEY_CHARACTERS.value

    statuses = [
        (
            await client.post("/item", json=item(), headers={"Idempotency-Key": "k" * length})
        ).status_code
        for length in (most, most + 1)
    ]

    assert statuses == [201, 422]


def test_the_contract_has_the_limits_of_a_key() -> None:
    key = IdempotencyKeyHeader.contract().document["properties"]["Idempotency-Key"]

    assert key["maxLength"] == limits.IDEMPOTENCY_KEY_CHARACTERS.value
    assert f"Up to {key['maxLength']} visible ASCII characters" in key["description"]
    assert f"within {limits.IDEMPOTENCY_KEY_HOURS.value} hours" in key["description"]


@pytest.mark.limit("IDEMPOTENCY_KEY_HOURS")
async def test_a_key_is_kept_for_24_hours(client: Client, engine: AsyncEngine) -> None:
    hours = limits.IDEMPOTENCY_KEY_HOURS.value
    json = item()
    await client.post("/item", json=json, headers=KEY)
    await age(engine, f"{hours - 1}:59:50")
    replayed = await client.post("/item", json=json, headers=KEY)
    await age(engine, f"{hours}:00:01")
    new = await client.post("/item", json=item(), headers=KEY)
    again = await client.post("/item", json=item(), headers=KEY)

    assert replayed.headers["Idempotency-Replayed"] == "true"
    assert new.status_code == 201
    assert "Idempotency-Replayed" not in new.headers
    assert again.status_code == 422
    assert await count(engine, "idempotencykey") == 1


async def test_maintenance_deletes_what_has_expired(
    app: App, client: Client, engine: AsyncEngine
) -> None:
    await client.post("/item", json=item(), headers=KEY)
    await age(engine, "24:00:01")
    await client.post("/item", json=item(), headers={"Idempotency-Key": "young"})
    database: Database = app.database
    await maintenance.run_jobs(database, asyncio.Event())
    async with engine.connect() as connection:
        left = (await connection.scalars(text("SELECT key FROM idempotencykey"))).all()

    assert left == ["young"]
    assert await count(engine) == 2


async def test_maintenance_ends_after_a_batch_if_it_is_to_stop(
    app: App, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    del client
    stop, found = asyncio.Event(), []

    async def delete_some(session: AsyncSession) -> int:
        found.append(await session.scalar(text("SELECT 1")))
        assert len(found) <= 2
        if len(found) == 2:
            stop.set()
        return 1

    monkeypatch.setitem(maintenance.JOBS, "deleted_idempotency_keys", delete_some)
    done = await maintenance.run_jobs(app.database, stop)

    assert not done
    assert found == [1, 1]


async def test_maintenance_deletes_in_batches(
    app: App, client: Client, engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backend, "DELETED_KEYS", 2)
    for number in range(5):
        await client.post("/item", json=item(), headers={"Idempotency-Key": str(number)})
    await age(engine, "25:00:00")
    await maintenance.run_jobs(app.database, asyncio.Event())

    assert await count(engine, "idempotencykey") == 0


async def age(engine: AsyncEngine, interval: str) -> None:
    """Have every key that there is be as old as this."""
    async with engine.begin() as connection:
        await connection.execute(
            text(f"UPDATE idempotencykey SET created_at = now() - interval '{interval}'")  # noqa: S608
        )
