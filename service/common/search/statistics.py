"""The estimated cost of a search, by the statistics of PostgreSQL about its columns."""

from typing import Any

from sqlalchemy import text

from service.common.database import Base, Session
from service.common.resource import Order, is_indexed
from service.common.search.trigrams import Sample
from service.common.search.weights import Reading, Search

# From this correlation on, neighbours in the order of a column are neighbours in the table.
CORRELATED = 0.7
SAMPLES = text("""
SELECT attname,
       most_common_vals::text::text[] AS common,
       most_common_freqs AS shares,
       histogram_bounds::text::text[] AS others,
       correlation,
       -- Like the planner: the density of the last ANALYZE and the current size.
       pg_relation_size(pg_class.oid) * coalesce(reltuples / nullif(relpages, 0) / 8192, 0.01)
       AS records,
       -- pg_trgm depends on it, whatever the locale of the builtin provider.
       (SELECT datctype IN ('C', 'POSIX') FROM pg_database WHERE datname = current_database()) AS c
FROM pg_class
LEFT JOIN pg_stats
    ON schemaname = current_schema() AND tablename = relname AND attname = ANY(:names)
WHERE relname = :table AND relnamespace = to_regnamespace(current_schema())
""")


async def weigh(
    session: Session, model: type[Base], names: tuple[str, ...], part: str, order: Order = ()
) -> Search:
    """Return a search in an order, with costs estimated from PostgreSQL's statistics."""
    keys = [key.name for key in order[:1]]
    values = {"table": model.__tablename__, "names": [*names, *keys]}
    rows = (await session.execute(SAMPLES, values)).all()
    records, is_ascii = (rows[0].records, rows[0].c) if rows else (0, True)
    known = {row.attname: row for row in rows if row.attname}
    samples = {name: _sample(known[name]) for name in names if name in known}
    # Without statistics, all records may have the same value.
    common, correlation = 1, None
    if keys and keys[0] in known:
        common = max(known[keys[0]].shares or (0,))
        correlation = known[keys[0]].correlation
    reading = Reading(
        sorted_at_once=0 if is_indexed(model, order) else records * common,
        is_scattered=abs(correlation or 0) < CORRELATED,
    )
    return Search(names, part, samples, records, reading, is_ascii=is_ascii)


def _sample(row: Any) -> Sample:
    common = list(zip(row.common or (), row.shares or (), strict=True))
    others = row.others or ()
    left = max(0, 1 - sum(share for _, share in common))
    return [*common, *((one, left / len(others)) for one in others)]
