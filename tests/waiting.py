"""Waiting for what a database or a process shows of others."""

import asyncio
import time
from collections.abc import Callable

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from service.common.database import WorkPool

SECONDS = 120


async def until(engine: AsyncEngine, query: str, wanted: object) -> None:
    """Return once a query gives what is wanted."""
    deadline = time.monotonic() + SECONDS
    while True:
        async with engine.connect() as connection:
            found = await connection.scalar(text(query))
        if found == wanted:
            return
        assert time.monotonic() < deadline, f"{query} gives {found}, not {wanted}"
        await asyncio.sleep(0.01)  # Between two looks, not instead of one.


async def until_waiting(pool: WorkPool, number: int) -> None:
    """Return once so many requests wait for a connection of the pool."""
    async with asyncio.timeout(SECONDS):
        while pool.waiting < number:  # noqa: ASYNC110  # A pool has no event for it.
            await asyncio.sleep(0)


def wait_until(
    is_so: Callable[[], bool], failure: Callable[[], str] = lambda: "it never was"
) -> None:
    """Return once something is so; if it never is, fail with a message."""
    deadline = time.monotonic() + SECONDS
    while not is_so():
        assert time.monotonic() < deadline, failure()
        time.sleep(0.05)  # Between two looks, not instead of one.
