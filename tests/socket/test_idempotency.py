"""Idempotency keys across the death of the service."""

import asyncio
from pathlib import Path

import httpx
import pytest

from tests.factories import item
from tests.socket.conftest import KEY, Service, running
from tests.socket.dying import STATUS
from tests.waiting import SECONDS

ROUNDS = 300


def test_a_request_whose_answer_was_lost_can_be_repeated(
    tmp_path: Path, database_url: str, service: Service, http: httpx.Client
) -> None:
    headers = {"X-API-Key": KEY, "Idempotency-Key": "lost"}
    json = item()
    with running(tmp_path, database_url, ("-m", "tests.socket.dying")) as dying:
        with pytest.raises(httpx.RemoteProtocolError):
            httpx.post(f"{dying.url}/item", json=json, headers=headers)
        status = dying.process.wait(SECONDS)
    stored = http.get("/item").json()
    repeated = http.post("/item", json=json, headers=headers)

    assert status == STATUS
    assert len(stored) == 1
    assert repeated.status_code == 201
    assert repeated.headers["Idempotency-Replayed"] == "true"
    assert repeated.headers["Location"] == f"/item/{stored[0]['id']}"
    assert repeated.json() == stored[0]
    assert http.get("/item").json() == stored


async def test_of_two_writers_with_the_same_tag_one_wins(
    service: Service, empty_database: None
) -> None:
    async with httpx.AsyncClient(base_url=service.url, headers={"X-API-Key": KEY}) as client:
        url = (await client.post("/item", json=item())).headers["Location"]
        tag = '"1"'
        for number in range(ROUNDS):
            answers = await asyncio.gather(
                *(
                    client.put(url, json={"name": f"{name} {number}"}, headers={"If-Match": tag})
                    for name in ("Left", "Right")
                )
            )
            winner, loser = sorted(answers, key=lambda answer: answer.status_code)
            assert (winner.status_code, loser.status_code) == (200, 412)
            # The loser gets the current version.
            tag = winner.headers["ETag"]
            assert loser.headers["ETag"] == tag
        last = await client.get(url)

    assert last.headers["ETag"] == tag == f'"{ROUNDS + 1}"'
    assert last.json() == winner.json()
