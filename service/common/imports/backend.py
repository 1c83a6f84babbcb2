"""Many records into a table, by COPY through a temporary one."""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from sqlalchemy import BigInteger, Column, MetaData, Select, Table, func, or_, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.schema import CreateTable

from service.common.errors import MAX_FAULTS
from service.common.models import Base
from service.common.waits import waiting_for

# The number of the line that a record comes from.
LINE = "line"


async def insert_lines(
    session: AsyncSession,
    model: type[Base],
    unique: str,
    lines: Sequence[tuple[int, Mapping[str, Any]]],
) -> list[tuple[int, Any]]:
    """Store records, each with the number of its line; all name the same columns.

    Return line and value where a record has the value of an earlier one, stored or in `lines`, in
    the column `unique`: the first 100. These are not stored.
    """
    names = tuple(lines[0][1])
    table = _temporary(model, names)
    await session.execute(CreateTable(table, if_not_exists=True))
    await session.execute(text(f"TRUNCATE {table.name}"))
    raw = await (await session.connection()).get_raw_connection()
    connection: Any = raw.driver_connection
    rows = ((line, *(values[name] for name in names)) for line, values in lines)
    with waiting_for("COPY"):
        await connection.copy_records_to_table(table.name, records=rows, columns=[LINE, *names])
    found = await session.execute(_statement(model, table, unique))
    return [(row[0], row[1]) for row in found]


@cache
def _temporary(model: type[Base], names: tuple[str, ...]) -> Table:
    return Table(
        f"{model.__tablename__}_lines",
        MetaData(),
        Column(LINE, BigInteger),
        *(Column(name, getattr(model, name).type) for name in names),
        prefixes=["TEMPORARY"],
        postgresql_on_commit="DROP",
    )


@cache
def _statement(model: type[Base], table: Table, unique: str) -> Select[Any]:
    """Return what stores the lines, and finds those that were not."""
    columns = [column for column in table.columns if column.name != LINE]
    stored = (
        insert(model)
        .from_select(
            [column.name for column in columns], select(*columns).order_by(table.columns[LINE])
        )
        .on_conflict_do_nothing(index_elements=[unique])
        .returning(getattr(model, unique))
        .cte("stored")
    )
    value = table.columns[unique]
    nth = func.row_number().over(partition_by=value, order_by=table.columns[LINE])
    lines = select(table.columns[LINE], value, nth.label("nth")).subquery()
    missing = lines.columns[unique].not_in(select(stored.columns[unique]))
    return (
        select(lines.columns[LINE], lines.columns[unique])
        .where(or_(lines.columns.nth > 1, missing))
        .order_by(lines.columns[LINE])
        .limit(MAX_FAULTS)
    )
