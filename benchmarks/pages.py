"""Pages at depth, and searches: `python -m benchmarks.pages [RECORDS]`, 10 million by default.

A page far into the collection must cost as much as the first, by each key; a search for a part of
a text must not read every record. `domain.list_foss` is measured: the query, its rows and its
cursors, without HTTP.
"""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter

from sqlalchemy import text

from benchmarks.records import migrate
from service.common.database import Database
from service.common.embedded import start_server
from service.common.resource import Cursor, encode_cursor, order_of, scope_of
from service.foss import domain
from service.foss.backend import FOSS
from service.foss.payloads import ListFoss
from service.settings import Settings

RECORDS = 10_000_000
LIMIT = 50
DEEP_PAGE = 100_000
ROUNDS = 300
TABLE_ONLY = "54691bf09f47"
LOAD = """
INSERT INTO foss (name, email, created_at, updated_at)
SELECT 'Project ' || (n % 1000) || ' of ' || md5(n::text), 'p' || n || '@example.org',
       timestamptz '2020-01-01' + n / 10 * interval '1 s',
       timestamptz '2020-01-01' + (n * 7919::bigint % {records}) * interval '1 s'
FROM generate_series(1, {records}) AS n
"""
SORTS = ["id", "-id", "name", "-name", "email", "created_at", "-created_at", "updated_at"]
SEARCHES = {
    "nobody": "zzzqqq",
    "one": "p4242@",
    "some": "of abcd",
    "a thousandth": "Project 77 ",
    "a thousandth by what all have": "777@example.org",
    "one by the whole address": "p4242@example.org",
    "everybody": "example.org",
}


async def measure(call: Callable[[], Awaitable[object]], rounds: int = ROUNDS) -> float:
    """Return the median of a call's seconds."""
    seconds = []
    for _ in range(rounds):
        began = perf_counter()
        await call()
        seconds.append(perf_counter() - began)
    return median(seconds)


async def run(url: str, records: int) -> None:
    """Load the records and print both tables."""
    database = Database(Settings(database_url=url, database_statement_timeout=600))
    await database.open()
    try:
        async with database.engine.begin() as connection:
            await connection.execute(text(LOAD.format(records=records)))
        await asyncio.to_thread(migrate, url, "head")
        async with database.engine.connect() as connection:
            await (await connection.execution_options(isolation_level="AUTOCOMMIT")).execute(
                text("VACUUM ANALYZE foss")
            )
        await pages(database, records)
        await searches(database)
    finally:
        await database.close()


async def pages(database: Database, records: int) -> None:
    """Print what the first page and a deep one cost, by each key."""
    depth = min(DEEP_PAGE, records // LIMIT // 2)
    print(f"| sort | page 1, ms | page {depth}, ms | ratio |\n| --- | --- | --- | --- |")
    for sort in SORTS:
        order = order_of((sort,), FOSS.keys)
        terms = ", ".join(f"{key.name} {'DESC' if key.descending else 'ASC'}" for key in order)
        names = ", ".join(key.name for key in order)
        async with database.engine.connect() as connection:
            statement = (
                f"SELECT {names} FROM foss ORDER BY {terms} OFFSET {depth * LIMIT - 1} LIMIT 1"  # noqa: S608
            )
            values = tuple((await connection.execute(text(statement))).one())
        after = encode_cursor(Cursor(values), scope_of(order, ()))
        first = await page(database, ListFoss(sort=(sort,)))
        deep = await page(database, ListFoss(sort=(sort,), after=after))
        print(
            f"| `{sort}` | {1000 * first:.2f} | {1000 * deep:.2f} | {deep / first:.2f} |",
            flush=True,
        )


async def page(database: Database, query: ListFoss) -> float:
    """Return the seconds of a page."""

    async def call() -> None:
        await domain.list_foss(database.reader(), query)

    return await measure(call)


async def searches(database: Database) -> None:
    """Print the cost of a search compared with an exact look-up."""
    exact = await page(database, ListFoss(email="p4242@example.org"))
    print(f"\n| search | ms | x look-up ({1000 * exact:.2f} ms) |\n| --- | --- | --- |")
    for name, q in SEARCHES.items():
        cost = await page(database, ListFoss(q=q))
        print(f"| {name}: `{q}` | {1000 * cost:.2f} | {cost / exact:.1f} |", flush=True)


def main() -> None:
    """Measure on a PostgreSQL that is gone afterwards."""
    records = int(sys.argv[1]) if len(sys.argv) > 1 else RECORDS
    quick = {"maintenance_work_mem": "1GB", "max_wal_size": "8GB", "fsync": "off"}
    with (
        TemporaryDirectory() as directory,
        start_server(Path(directory) / "postgres", **quick) as server,
    ):
        url = server.url()
        migrate(url, TABLE_ONLY)
        asyncio.run(run(url, records))


if __name__ == "__main__":
    main()
