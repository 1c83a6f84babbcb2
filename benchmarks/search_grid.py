"""Searches beside both ways to their page: `python -m benchmarks.search_grid [RECORDS]`.

A page of a search can be found by reading in its order, or by the index on trigrams and a sort.
Neither is always right, so the service must be close to the faster one: `THRESHOLD`. Each cell is
a text, a sort, a cursor and a limit; the table has the worst cells, and the worst of each text.

Times are of processors, of the server's process and this one, so that a busy machine does not
matter. A million records by default, in some ten minutes.
"""

import asyncio
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from sqlalchemy import event, text
from sqlalchemy.ext.asyncio import AsyncConnection

from benchmarks.pages import TABLE_ONLY, migrate
from service.common.cursors import Cursor, encode_cursor, scope_of
from service.common.database import Database
from service.common.embedded import start_server
from service.common.ordering import Order, order_of
from service.foss import domain
from service.foss.payloads import ListFoss
from service.settings import Settings

RECORDS = 1_000_000
# How many times the faster way, and milliseconds beside it.
THRESHOLD = (3, 20)
ROUNDS = 3
LEAST_ROUNDS = 2
# What takes longer is done twice, for the first time has to make the plan.
SLOW_MS = 100
LOAD = """
INSERT INTO foss (name, email, created_at, updated_at)
SELECT lpad(to_hex(by_name), 6, '0') || ' Project'
       || CASE WHEN n % ({records} / 10) = 7 THEN ' rarely' ELSE '' END
       || CASE WHEN n % 1000 = 3 THEN ' seldom' ELSE '' END
       || CASE WHEN n % 100 = 11 THEN ' hundredth' ELSE '' END
       || CASE WHEN n % 10 = 5 THEN ' spread' ELSE '' END
       || CASE WHEN n * 2 > {records} THEN ' upperhalf' ELSE '' END
       || CASE WHEN n <= {records} / 10 THEN ' idfirst' ELSE '' END
       || CASE WHEN n > {records} - {records} / 10 THEN ' idlast' ELSE '' END
       || CASE WHEN by_name < {records} / 10 THEN ' namefront' ELSE '' END
       || CASE WHEN by_name >= {records} - {records} / 10 THEN ' nametail' ELSE '' END
       || CASE WHEN by_time >= {records} - {records} / 10 THEN ' timelate' ELSE '' END
       || ' ' || md5(n::text),
       'u' || n || '@host.example.org',
       timestamptz '2020-01-01' + by_time * interval '1 s',
       timestamptz '2020-01-01' + by_name * interval '1 s'
FROM generate_series(1, {records}) AS n,
     LATERAL (SELECT n * 7919::bigint % {records} AS by_name,
                     n * 104729::bigint % {records} AS by_time) AS ranks
"""
SEARCHES = {
    "zqxjkv": "none",
    "zqx": "none, three letters",
    "rarely": "ten",
    "seldom": "a thousandth, spread",
    "hundredth": "a hundredth, spread",
    "spread": "10 %, spread",
    "project spread": "10 %, one word of all",
    "idfirst": "10 %, first by id",
    "idlast": "10 %, last by id",
    "namefront": "10 %, first by name",
    "nametail": "10 %, last by name",
    "timelate": "10 %, last by created_at",
    "upperhalf": "50 %, last by id",
    "host.example": "all",
    "xample host": "none, each trigram in all",
}
SORTS = ["id", "-id", "-name", "created_at", "name,email"]
LIMITS = (1, 50, 200)
DEPTHS = (0, 0.5)
COLUMNS = "id, name, email, created_at, updated_at"
HAS = "(name ILIKE :q OR email ILIKE :q)"
WALK = """
SELECT {columns} FROM foss WHERE coalesce({has}, false) AND {beyond} ORDER BY {order} LIMIT {limit}
"""
LOOK_UP = """
SELECT * FROM (SELECT {columns} FROM foss WHERE {has} AND {beyond} OFFSET 0) AS found
ORDER BY {order} LIMIT {limit}
"""
OFF = {
    WALK: ("enable_sort", "enable_seqscan", "enable_bitmapscan"),
    LOOK_UP: ("enable_seqscan", "enable_indexscan", "enable_indexonlyscan"),
}


@dataclass(frozen=True)
class Cell:
    """What was searched, and the milliseconds of the service and of both ways."""

    q: str
    sort: str
    depth: float
    limit: int
    chosen: float
    statements: int
    walk: float
    look_up: float

    @property
    def best(self) -> float:
        """The milliseconds of the faster way."""
        return min(self.walk, self.look_up)

    @property
    def used(self) -> float:
        """How much of what is allowed the service took."""
        times, beside = THRESHOLD
        return self.chosen / (times * self.best + beside)

    def row(self) -> str:
        """Return a row of the table."""
        where = f"`{self.sort}`, {self.limit} behind {self.depth:.0%}"
        figures = f"{self.chosen:.1f} | {self.statements} | {self.walk:.1f} | {self.look_up:.1f}"
        ratio = f"{self.chosen / self.best:.1f} | {self.used:.0%}"
        return f"| {SEARCHES[self.q]}: `{self.q}` | {where} | {figures} | {ratio} |"


class Grid:
    """The measurements on a loaded database."""

    def __init__(self, database: Database, connection: AsyncConnection, records: int) -> None:
        self._database, self._connection, self._records = database, connection, records
        self._statements = 0
        for engine in vars(database)["_alone_engines"].values():
            event.listen(engine.sync_engine, "before_cursor_execute", self._count)

    def _count(self, *_: object) -> None:
        self._statements += 1

    async def cells(self) -> list[Cell]:
        """Measure every cell."""
        service = await self._database.reader().scalar(text("SELECT pg_backend_pid()"))
        other = await self._connection.scalar(text("SELECT pg_backend_pid()"))
        found = []
        for sort, depth in product(SORTS, DEPTHS):
            order = order_of(sort.split(","), domain.UNIQUE)
            start = await self._start(order, depth)
            for q in SEARCHES:
                after = start and encode_cursor(Cursor(start), scope_of(order, (("q", q),)))
                for limit in LIMITS:
                    query = ListFoss(q=q, sort=tuple(sort.split(",")), limit=limit, after=after)

                    async def call(query: ListFoss = query) -> None:
                        self._statements = 0
                        await domain.list_foss(self._database.reader(), query)

                    chosen = await measure(call, service)
                    statements = self._statements
                    ways = [await self._way(way, other, query, start) for way in (WALK, LOOK_UP)]
                    found.append(Cell(q, sort, depth, limit, chosen, statements, *ways))
        return found

    async def _start(self, order: Order, depth: float) -> tuple[Any, ...] | None:
        if not depth:
            return None
        names = ", ".join(key.name for key in order)
        statement = f"SELECT {names} FROM foss ORDER BY {terms(order)} OFFSET :n LIMIT 1"  # noqa: S608
        values = {"n": int(depth * self._records)}
        return tuple((await self._connection.execute(text(statement), values)).one())

    async def _way(self, way: str, process: int, query: ListFoss, start: Any) -> float:
        order = order_of(query.sort, domain.UNIQUE)
        for name in {name for names in OFF.values() for name in names}:
            value = "off" if name in OFF[way] else "on"
            await self._connection.execute(text(f"SET {name} = {value}"))
        left, right = (
            ", ".join(f"{prefix}{key.name}" for key in order) for prefix in ("", ":start_")
        )
        compared = "<" if order[0].descending else ">"
        statement = way.format(
            columns=COLUMNS,
            has=HAS,
            beyond=f"({left}) {compared} ({right})" if start else "true",
            order=terms(order),
            limit=query.limit + 1,
        )
        values = {f"start_{key.name}": one for key, one in zip(order, start or (), strict=False)}
        values |= {"q": f"%{query.q}%"}
        return await measure(lambda: self._connection.execute(text(statement), values), process)


def terms(order: Order) -> str:
    """Return the terms of ORDER BY."""
    return ", ".join(f"{key.name} {'DESC' if key.descending else 'ASC'}" for key in order)


async def measure(call: Callable[[], Awaitable[object]], process: int) -> float:
    """Return the least milliseconds that a call takes of this process and another one."""
    times: list[float] = []
    while len(times) < LEAST_ROUNDS or (len(times) < ROUNDS and min(times) < SLOW_MS):
        began = time.process_time() + seconds(process)
        await call()
        times.append(1000 * (time.process_time() + seconds(process) - began))
    return min(times)


def seconds(process: int) -> float:
    """Return the processor time of another process."""
    return int(Path(f"/proc/{process}/schedstat").read_text().split()[0]) / 1e9


def report(cells: list[Cell]) -> Iterator[str]:
    """Yield the lines of the table."""
    times, beside = THRESHOLD
    yield f"allowed: {times} x the faster way + {beside} ms"
    yield "| search | page | service | statements | in order | index | x faster | used |"
    yield "| --- | --- | --- | --- | --- | --- | --- | --- |"
    for q in SEARCHES:
        yield max((cell for cell in cells if cell.q == q), key=lambda cell: cell.used).row()
    over = [cell for cell in cells if cell.used > 1]
    yield f"\n{len(cells)} cells, {len(over)} beyond what is allowed"
    yield from (cell.row() for cell in sorted(over, key=lambda cell: -cell.used))
    yield f"statements: {dict(sorted(Counter(cell.statements for cell in cells).items()))}"


async def run(url: str, records: int) -> int:
    """Load the records, print the table and return the number of cells beyond the threshold."""
    database = Database(Settings(database_url=url, database_statement_timeout=600))
    await database.open()
    try:
        async with database.engine.begin() as connection:
            await connection.execute(text(LOAD.format(records=records)))
        await asyncio.to_thread(migrate, url, "head")
        async with database.engine.connect() as connection:
            alone = await connection.execution_options(isolation_level="AUTOCOMMIT")
            await alone.execute(text("VACUUM ANALYZE foss"))
            cells = await Grid(database, alone, records).cells()
    finally:
        await database.close()
    print("\n".join(report(cells)))
    return sum(cell.used > 1 for cell in cells)


def main() -> None:
    """Measure on a PostgreSQL that is gone afterwards."""
    records = int(sys.argv[1]) if len(sys.argv) > 1 else RECORDS
    settings = {"maintenance_work_mem": "1GB", "max_wal_size": "8GB", "fsync": "off"}
    # Of the times of workers nothing would be known.
    settings |= {"max_parallel_workers_per_gather": "0"}
    with (
        TemporaryDirectory() as directory,
        start_server(Path(directory) / "postgres", **settings) as server,
    ):
        url = server.url()
        migrate(url, TABLE_ONLY)
        sys.exit(1 if asyncio.run(run(url, records)) else 0)


if __name__ == "__main__":
    main()
