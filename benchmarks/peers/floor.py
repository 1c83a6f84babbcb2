"""The floor: a record by its id, by ASGI and asyncpg alone, on hypercorn."""

import os
from typing import Any

import asyncpg
import orjson

SELECT = "SELECT id, name, email, created_at, updated_at FROM foss WHERE id = $1"
HEADERS = [(b"content-type", b"application/json")]
pool: Any = None


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Answer `/foss/ID`, and nothing else."""
    global pool  # noqa: PLW0603  # The whole application is this function.
    if scope["type"] == "lifespan":
        await receive()
        pool = await asyncpg.create_pool(os.environ["DATABASE_URL"], min_size=10, max_size=10)
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await pool.close()
        await send({"type": "lifespan.shutdown.complete"})
        return
    row = await pool.fetchrow(SELECT, int(scope["path"].rpartition("/")[2]))
    facts = dict(row)
    for name in ("created_at", "updated_at"):
        facts[name] = f"{facts[name].replace(tzinfo=None).isoformat(timespec='microseconds')}Z"
    body = orjson.dumps(facts)
    length = (b"content-length", str(len(body)).encode())
    await send({"type": "http.response.start", "status": 200, "headers": [*HEADERS, length]})
    await send({"type": "http.response.body", "body": body})
