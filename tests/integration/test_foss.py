"""The resource over HTTP, proven in the database through connections of one's own."""

import pytest
from quart.typing import TestClientProtocol as Client
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.factories import foss


async def rows(engine: AsyncEngine) -> list[tuple[int, str, str]]:
    async with engine.connect() as connection:
        found = await connection.execute(text("SELECT id, name, email FROM foss ORDER BY id"))
        return [tuple(row) for row in found]  # type: ignore[misc]


async def test_post_stores_a_record_and_answers_with_it(client: Client, engine: AsyncEngine) -> None:
    response = await client.post("/foss", json={"name": "Ada", "email": "ada@example.org"})
    body = await response.get_json()

    assert response.status_code == 201
    assert list(body) == ["id", "name", "email", "created_at", "updated_at"]
    assert (body["id"], body["name"], body["email"]) == (1, "Ada", "ada@example.org")
    assert body["created_at"] == body["updated_at"]
    assert response.headers["Location"] == "/foss/1"
    assert response.headers["ETag"] == '"1"'
    assert response.headers["Content-Type"] == "application/json"
    assert await rows(engine) == [(1, "Ada", "ada@example.org")]
