"""A part of a text, found by an index on trigrams, however common some of them are.

Such an index knows, for each three letters, which records have them, and reads all of that for all
trigrams of a pattern: of a whole e-mail address also those of a domain that half of the records
have. So the pattern for the index leaves out what is common in the sample of a column that
PostgreSQL keeps for its planner, and the whole text is looked for in what is left.
"""

import re
from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import ColumnElement, and_, func, or_, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute

from service.common.search.trigrams import rare_parts

# Up to this length a pattern has too few trigrams for it to matter.
SHORT = 5
SAMPLES = text("""
SELECT attname, coalesce(histogram_bounds::text::text[] || most_common_vals::text::text[], '{}')
FROM pg_stats WHERE schemaname = current_schema() AND tablename = :name
""")

Column = InstrumentedAttribute[str]


async def contains(
    session: AsyncSession, columns: Sequence[Column], part: str
) -> ColumnElement[bool]:
    """Return the condition that one of a table's columns has this part, in capitals or not."""
    samples: dict[str, Collection[str]] = {}
    if len(part) > SHORT:
        table: Any = columns[0].table
        found = await session.execute(SAMPLES, {"name": table.name})
        samples = {row[0]: row[1] for row in found}
    return or_(*(_has(column, part, samples.get(column.key, ())) for column in columns))


def _has(column: Column, part: str, sample: Collection[str]) -> ColumnElement[bool]:
    whole = column.ilike(_pattern([part]), escape="/")
    parts = rare_parts(part, sample)
    if parts in ([part], []):
        return whole
    # In `coalesce` the index does not see the whole, and the planner takes it for likely.
    return and_(column.ilike(_pattern(parts), escape="/"), func.coalesce(whole, False))


def _pattern(parts: Sequence[str]) -> str:
    # `%`, `_` and the escape itself are plain characters.
    escaped = [re.sub(r"([%_/])", r"/\1", part) for part in parts]
    return f"%{'%'.join(escaped)}%"
