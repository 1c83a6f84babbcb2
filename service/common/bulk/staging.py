"""Many records into a table, by COPY through a temporary one."""

from collections.abc import Mapping, Sequence
from functools import cache, partial
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    MetaData,
    Select,
    Table,
    bindparam,
    exists,
    func,
    literal,
    or_,
    select,
)
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.schema import CreateIndex, CreateTable

from service.common.database.models import Base
from service.common.database.waits import waiting_for
from service.common.errors import MAX_FAULTS, Fault
from service.common.resource.resource import Resource

# The number of the line that a record comes from.
LINE = "line"
# The lines of a statement.
FIRST, LAST = "first", "last"


class StagedLines:
    """Records of a model in a temporary table, from where they go into the model's table.

    Until then nobody has to wait for them, and no index has to be read past them. The model has one
    column beside `id` that is unique.
    """

    def __init__(self, session: AsyncSession, resource: Resource[Any]) -> None:
        self._session = session
        self._model = resource.model
        if len(resource.unique) != 1:
            raise RuntimeError(f"{self._model.__name__} needs one unique column for imports.")
        [self._unique] = resource.unique
        self._taken = partial(resource.taken, self._unique)
        self._table: Table | None = None

    async def stage(self, rows: Sequence[tuple[int, Mapping[str, Any]]]) -> None:
        """Keep records, each with the number of its line; all name the same columns."""
        names = tuple(rows[0][1])
        if self._table is None:
            self._table = _temporary(self._model, names, self._unique)
            await self._session.execute(CreateTable(self._table))
            for index in self._table.indexes:
                await self._session.execute(CreateIndex(index))
        raw = await (await self._session.connection()).get_raw_connection()
        connection: Any = raw.driver_connection
        records = ((line, *(values[name] for name in names)) for line, values in rows)
        with waiting_for("COPY"):
            await connection.copy_records_to_table(
                self._table.name, records=records, columns=[LINE, *names]
            )

    async def check(self, first: int, last: int) -> list[Fault]:
        """Return a fault for each of these lines whose value is taken, the first 100.

        Another record may have the value, or an earlier line.
        """
        return await self._faults(_taken(self._model, self._table, self._unique), first, last)

    async def insert(self, first: int, last: int) -> list[Fault]:
        """Store the records of these lines, but for those whose value was taken meanwhile.

        Return a fault for each of these, the first 100.
        """
        return await self._faults(_insert(self._model, self._table, self._unique), first, last)

    async def _faults(self, statement: Select[Any], first: int, last: int) -> list[Fault]:
        found = await self._session.execute(statement, {FIRST: first, LAST: last})
        pointer = f"/{self._unique}"
        return [Fault(pointer, "uniqueItems", self._taken(value), line) for line, value in found]


@cache
def _temporary(model: type[Base], names: tuple[str, ...], unique: str) -> Table:
    return Table(
        f"{model.__tablename__}_lines",
        MetaData(),
        Column(LINE, BigInteger, primary_key=True, autoincrement=False),
        *(Column(name, getattr(model, name).type, index=name == unique) for name in names),
        prefixes=["TEMPORARY"],
        postgresql_on_commit="DROP",
    )


def _between(line: Any) -> Any:
    return line.between(bindparam(FIRST, type_=BigInteger), bindparam(LAST, type_=BigInteger))


@cache
def _taken(model: type[Base], table: Table, unique: str) -> Select[Any]:
    """Return what finds the lines whose value another record has, or an earlier line."""
    line, value, earlier = table.columns[LINE], table.columns[unique], table.alias().columns
    in_file = exists().where(earlier[unique] == value, earlier[LINE] < line)
    in_table = exists().where(getattr(model, unique) == value)
    found = select(line, value).where(_between(line), or_(in_file, in_table))
    return found.order_by(line).limit(MAX_FAULTS)


@cache
def _insert(model: type[Base], table: Table, unique: str) -> Select[Any]:
    """Return what stores some lines, and finds those that were not stored."""
    line, value = table.columns[LINE], table.columns[unique]
    columns = [column for column in table.columns if column is not line]
    some = _between(line)
    stored = (
        insert(model)
        .from_select(
            [column.name for column in columns], select(*columns).where(some).order_by(line)
        )
        .on_conflict_do_nothing(index_elements=[unique])
        .returning(getattr(model, unique))
        .cte("stored")
    )
    # A record that was stored is line 0 here, before the one line that it comes from. A join would
    # depend on estimates of how many there are, and PostgreSQL has none for a temporary table.
    both = (
        select(line, value)
        .where(some)
        .union_all(select(literal(0, BigInteger), stored.columns[unique]))
        .subquery()
        .columns
    )
    previous = func.lag(both[LINE]).over(partition_by=both[unique], order_by=both[LINE])
    found = select(both[LINE], both[unique], previous.label("previous")).subquery().columns
    return (
        select(found[LINE], found[unique])
        .where(found[LINE] > 0, found["previous"].is_distinct_from(0))
        .order_by(found[LINE])
        .limit(MAX_FAULTS)
    )
