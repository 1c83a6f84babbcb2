"""A connection to the database that is cut at each stage of a request."""

import asyncio

import pytest

from tests.factories import item
from tests.faults.conftest import Target, check_refusal, requests
from tests.faults.proxy import Stage

KEYED = {"Idempotency-Key": "cut"}
STORED = "SELECT count(*) FROM item"
VERSION = "SELECT row_version FROM item"


@pytest.mark.parametrize(
    ("stage", "stored"), [(Stage.BEFORE, 0), (Stage.DURING, 1), (Stage.AFTER, 1)]
)
async def test_a_write_whose_connection_is_cut_is_a_503_and_is_never_sent_twice(
    target: Target, stage: Stage, stored: int
) -> None:
    payload = item()
    async with target.client() as client:
        with target.proxy.trap(stage, payload["email"]) as trap:
            response = await client.post("/item", json=payload)
        assert trap.sprung.is_set()
        check_refusal(response)
        await target.wait_for(f"SELECT ({STORED}) = {stored}")
        repeated = await client.post("/item", json=payload)

    assert repeated.status_code == (409 if stored else 201)
    assert await target.sql(STORED) == "1"


@pytest.mark.parametrize("stage", Stage)
async def test_a_write_with_a_key_whose_connection_is_cut_can_be_repeated_and_is_stored_once(
    target: Target, stage: Stage
) -> None:
    payload = item()
    async with target.client() as client:
        with target.proxy.trap(stage, payload["email"]) as trap:
            response = await client.post("/item", json=payload, headers=KEYED)
        assert trap.sprung.is_set()
        check_refusal(response)
        await target.is_idle_at_the_server()
        stored = await target.sql(f"{STORED} WHERE email = '{payload['email']}'")
        repeated = await client.post("/item", json=payload, headers=KEYED)

    is_replayed = stage is Stage.COMMITTED
    assert stored == str(int(is_replayed))
    assert repeated.status_code == 201
    assert ("Idempotency-Replayed" in repeated.headers) == is_replayed
    assert await target.sql(STORED) == "1"


@pytest.mark.parametrize("stage", [Stage.BEFORE, Stage.DURING, Stage.AFTER])
async def test_a_change_whose_connection_is_cut_is_done_once_or_not_at_all(
    target: Target, stage: Stage
) -> None:
    async with target.client() as client:
        created = await client.post("/item", json=item())
        with target.proxy.trap(stage, "Changed once") as trap:
            url = created.headers["Location"]
            response = await client.put(url, json={"name": "Changed once"})
        assert trap.sprung.is_set()
        check_refusal(response)
        version = 1 if stage is Stage.BEFORE else 2
        await target.wait_for(f"SELECT ({VERSION}) = {version}")
        read = await client.get(url)

    assert read.headers["ETag"] == f'"{version}"'


async def test_requests_in_progress_fail_when_all_connections_are_cut_and_the_next_succeed(
    target: Target,
) -> None:
    async with target.client() as client:
        with target.database.frozen():
            tasks = [asyncio.create_task(one) for one in requests(client)]
            while not all(task.done() for task in tasks):
                target.proxy.cut_all()
                await asyncio.sleep(0.02)  # Until there are more connections.
            responses = await asyncio.gather(*tasks)

    # On a slow machine a cheap read may meet its time-out first.
    refused = [one for one in responses if one.status_code != 504]
    assert refused
    for response in refused:
        check_refusal(response)
