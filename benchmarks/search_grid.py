"""Searches and both plans for their page: `python -m benchmarks.search_grid [RECORDS] [TEXT…]`.

A page of a search can be found by reading in its order, or by the trigram index and a sort.
Neither is always right, so the service must be close to the faster one: `THRESHOLD`. Each cell is
a text, a sort, a cursor and a limit; the table has the worst cell of each text, and every cell
beyond the limit. Such a cell is measured more often. The minimum counts.

Times are processor times of the server's processes and this one, so that a busy machine changes
little. A million records by default, in some 20 minutes; `--keep FOLDER` keeps their database for
the next run. Cells are printed to stderr as they are measured.
"""

import asyncio
import sys
import time
from argparse import ArgumentParser
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import count, product
from math import inf
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from sqlalchemy import event, text
from sqlalchemy.ext.asyncio import AsyncConnection

from benchmarks.pages import TABLE_ONLY
from benchmarks.records import migrate
from service.common.database import Database, create_engine
from service.common.embedded import start_server
from service.common.resource import Cursor, Order, encode_cursor, order_of, scope_of
from service.foss import domain
from service.foss.backend import FOSS
from service.foss.payloads import ListFoss
from service.settings import Settings

RECORDS = 1_000_000
# The allowed multiple of the faster plan, and milliseconds in addition.
THRESHOLD = (3, 20)
# The service and both ways take turns, for the speed of a busy machine changes.
ROUNDS, SLOW_ROUNDS = 4, 2
SLOW_MS = 100
# How many rounds more a cell has that is beyond what is allowed.
MORE_ROUNDS = 6
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
# A search may use several connections.
BACKENDS = "SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend'"
OFF = {
    "walk": ("enable_sort", "enable_seqscan", "enable_bitmapscan"),
    "look_up": ("enable_seqscan", "enable_indexscan", "enable_indexonlyscan"),
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
        for engine in vars(database)["_autocommit_engines"].values():
            event.listen(engine.sync_engine, "before_cursor_execute", self._count)

    def _count(self, *_: object) -> None:
        self._statements += 1

    async def cells(self, texts: Sequence[str]) -> list[Cell]:
        """Measure every cell of the texts."""
        found: list[Cell] = []
        total = len(SORTS) * len(DEPTHS) * len(texts) * len(LIMITS)
        for sort, depth in product(SORTS, DEPTHS):
            start = await self._start(order_of(sort.split(","), FOSS.keys), depth)
            for q, limit in product(texts, LIMITS):
                found.append(await self._cell(q, sort, depth, start, limit))
                print(f"{len(found)} of {total} {found[-1].row()}", file=sys.stderr, flush=True)
        return found

    async def _cell(self, q: str, sort: str, depth: float, start: Any, limit: int) -> Cell:
        sorts = tuple(sort.split(","))
        scope = scope_of(order_of(sorts, FOSS.keys), (("q", q),))
        after = start and encode_cursor(Cursor(start), scope)
        query = ListFoss(q=q, sort=sorts, limit=limit, after=after)

        async def call() -> None:
            self._statements = 0
            await domain.list_foss(self._database.reader(), query)

        await call()  # The first time has to make the plans, and connections.
        processes = (await self._connection.scalars(text(BACKENDS))).all()
        least = {"chosen": inf, "walk": inf, "look_up": inf}
        calls = {"chosen": call, "walk": self._way(WALK, query, start)}
        calls["look_up"] = self._way(LOOK_UP, query, start)
        for done in count():
            cell = Cell(q, sort, depth, limit, statements=self._statements, **least)
            rounds = SLOW_ROUNDS if SLOW_MS < cell.chosen < inf else ROUNDS
            if done >= rounds + (MORE_ROUNDS if cell.used > 1 else 0):
                break
            for name, one in calls.items():
                # Nothing can make a much slower way the faster one.
                if name == "chosen" or not done or least[name] < 2 * cell.best:
                    await self._set(OFF.get(name, ()))
                    began = seconds(processes)
                    await one()
                    least[name] = min(least[name], 1000 * (seconds(processes) - began))
        return cell

    async def _start(self, order: Order, depth: float) -> tuple[Any, ...] | None:
        if not depth:
            return None
        names = ", ".join(key.name for key in order)
        statement = f"SELECT {names} FROM foss ORDER BY {terms(order)} OFFSET :n LIMIT 1"  # noqa: S608
        values = {"n": int(depth * self._records)}
        return tuple((await self._connection.execute(text(statement), values)).one())

    def _way(self, way: str, query: ListFoss, start: Any) -> Callable[[], Awaitable[object]]:
        order = order_of(query.sort, FOSS.keys)
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
        return lambda: self._connection.execute(text(statement), values)

    async def _set(self, off: Sequence[str]) -> None:
        for name in {name for names in OFF.values() for name in names}:
            await self._connection.execute(text(f"SET {name} = {'off' if name in off else 'on'}"))


def terms(order: Order) -> str:
    """Return the terms of ORDER BY."""
    return ", ".join(f"{key.name} {'DESC' if key.descending else 'ASC'}" for key in order)


def seconds(processes: Sequence[int]) -> float:
    """Return the processor time of this process and others."""
    others = (Path(f"/proc/{one}/schedstat").read_text().split()[0] for one in processes)
    return time.process_time() + sum(map(int, others)) / 1e9


def report(cells: list[Cell]) -> Iterator[str]:
    """Yield the lines of the table."""
    times, beside = THRESHOLD
    yield f"allowed: {times} x the faster way + {beside} ms"
    yield "| search | page | service | statements | in order | index | x faster | used |"
    yield "| --- | --- | --- | --- | --- | --- | --- | --- |"
    for q in dict.fromkeys(cell.q for cell in cells):
        yield max((cell for cell in cells if cell.q == q), key=lambda cell: cell.used).row()
    over = [cell for cell in cells if cell.used > 1]
    yield f"\n{len(cells)} cells, {len(over)} beyond what is allowed"
    yield from (cell.row() for cell in sorted(over, key=lambda cell: -cell.used))
    yield f"statements: {dict(sorted(Counter(cell.statements for cell in cells).items()))}"


async def run(url: str, records: int, texts: Sequence[str]) -> int:
    """Load the records, print the table and return the number of cells beyond the threshold."""
    database = Database(Settings(database_url=url, database_statement_timeout=600))
    # The service's own cancels what takes longer than a cheap read.
    engine = create_engine(url, statement_timeout=0)
    await database.open()
    try:
        async with engine.begin() as connection:
            kept = await connection.scalar(text("SELECT count(*) FROM foss"))
            if not kept:
                await connection.execute(text(LOAD.format(records=records)))
            elif kept != records:
                sys.exit(f"The kept database has {kept} records: ask for as many.")
        await asyncio.to_thread(migrate, url, "head")
        async with engine.connect() as connection:
            alone = await connection.execution_options(isolation_level="AUTOCOMMIT")
            await alone.execute(text("VACUUM ANALYZE foss"))
            cells = await Grid(database, alone, records).cells(texts)
    finally:
        await engine.dispose()
        await database.close()
    print("\n".join(report(cells)))
    return sum(cell.used > 1 for cell in cells)


def main() -> None:
    """Measure on a PostgreSQL that is gone afterwards, unless it is kept."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("records", nargs="?", type=int, default=RECORDS)
    parser.add_argument("texts", nargs="*", metavar="text", help=", ".join(SEARCHES))
    parser.add_argument("--keep", type=Path, metavar="FOLDER")
    options = parser.parse_args()
    settings = {"maintenance_work_mem": "1GB", "max_wal_size": "8GB", "fsync": "off"}
    # Of the times of workers nothing would be known.
    settings |= {"max_parallel_workers_per_gather": "0"}
    with (
        nullcontext(options.keep) if options.keep else TemporaryDirectory() as directory,
        start_server(Path(directory) / "postgres", **settings) as server,
    ):
        url = server.url()
        migrate(url, TABLE_ONLY)
        texts = options.texts or list(SEARCHES)
        sys.exit(1 if asyncio.run(run(url, options.records, texts)) else 0)


if __name__ == "__main__":
    main()
