"""Server-Timing: only if it is enabled, and only for who asks."""

import re
from collections.abc import AsyncIterator
from typing import cast

import pytest

from service.settings import Settings
from tests.app import create_app
from tests.client import Client
from tests.factories import item

ASKS = {"Prefer": "server-timing"}
TIMES = re.compile(r"app;dur=(\d+\.\d), db;dur=(\d+\.\d), pool;dur=(\d+\.\d)")


@pytest.fixture
async def timed(settings: Settings, client: Client) -> AsyncIterator[Client]:
    """Return a client of an application that may tell its times, on empty tables."""
    del client
    app = create_app(settings.model_copy(update={"server_timing": True}))
    async with app.test_app():
        yield cast("Client", app.test_client())


@pytest.mark.parametrize("headers", [{}, {"Idempotency-Key": "key"}], ids=["one", "transaction"])
async def test_a_client_that_asks_gets_the_times(timed: Client, headers: dict[str, str]) -> None:
    response = await timed.post("/item", json=item(), headers=ASKS | headers)

    found = TIMES.fullmatch(response.headers["Server-Timing"])
    assert found is not None
    app, database, pool = map(float, found.groups())
    assert database > 0
    assert database + pool <= app + 0.1  # They are rounded.


async def test_a_response_without_a_statement_has_no_time_of_the_database(timed: Client) -> None:
    response = await timed.get("/livez", headers=ASKS)

    assert response.headers["Server-Timing"].endswith("db;dur=0.0, pool;dur=0.0")


@pytest.mark.parametrize(
    ("prefer", "asks"),
    [
        ("count=exact, Server-Timing", True),
        ("server-timing; unit=ms", True),
        ("server-timings", False),
        ("count=exact", False),
        ("", False),
    ],
)
async def test_the_preference_is_one_of_a_list(timed: Client, prefer: str, asks: bool) -> None:
    response = await timed.get("/item", headers={"Prefer": prefer})

    assert ("Server-Timing" in response.headers) is asks


async def test_pages_of_other_origins_may_read_it(timed: Client) -> None:
    origin = {"Origin": "http://localhost:8080"}
    asked = await timed.get("/item", headers=ASKS | origin)
    other = await timed.get("/item", headers=origin)

    assert asked.headers["Access-Control-Expose-Headers"].endswith(", X-Total-Count, Server-Timing")
    assert other.headers["Access-Control-Expose-Headers"].endswith(", X-Total-Count")


async def test_it_is_off_by_default(client: Client) -> None:
    response = await client.get("/item", headers=ASKS)

    assert "Server-Timing" not in response.headers
