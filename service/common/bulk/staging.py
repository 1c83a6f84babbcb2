"""Inserting many records by COPY through a temporary table."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import product
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    Index,
    MetaData,
    Select,
    Table,
    and_,
    bindparam,
    exists,
    func,
    literal,
    or_,
    select,
)
from sqlalchemy.dialects.postgresql import Insert, insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.schema import CreateIndex, CreateTable

from service.common.contract import encode
from service.common.database import CONFLICT, TREES, Base, measured_copy
from service.common.errors import MAX_FAULTS, Fault
from service.common.resource import Resource

# Names that no field has: the number of a record's line, the first and the last line of a
# statement, and the previous line.
LINE, FIRST, LAST, PREVIOUS = "_line", "_first", "_last", "_previous"

# PostgreSQL cuts longer names.
MAX_NAME = 63


class StagedLines:
    """Records in a temporary table, from where they are inserted into the model's table.

    Until then they lock nothing, and slow down no reads.
    """

    def __init__(self, session: AsyncSession, resource: Resource[Any]) -> None:
        self._session = session
        self._resource = resource
        self._model: type[Base] = resource.model
        # The unique columns that the lines have, and those that refer to another model.
        self._unique: tuple[str, ...] = ()
        # The columns of each of their unique constraints.
        self._constraints: list[tuple[str, ...]] = []
        self._references: list[tuple[str, type[Base]]] = []
        self._table: Table | None = None

    async def stage(self, rows: Sequence[tuple[int, Mapping[str, Any]]]) -> None:
        """Add records, each with its line number; all have the same columns."""
        names = tuple(rows[0][1])
        if self._table is None:
            self._unique = tuple(name for name in self._resource.unique if name in names)
            self._constraints = [(name,) for name in self._unique]
            self._constraints += [
                one for one in self._resource.unique_together if {*one} <= {*names}
            ]
            self._references = [
                reference
                for reference in self._resource.references.values()
                if reference[0] in names
            ]
            self._table = _temporary(self._model, names, tuple(self._constraints))
            await self._session.execute(CreateTable(self._table))
            for index in self._table.indexes:
                await self._session.execute(CreateIndex(index))
        raw = await (await self._session.connection()).get_raw_connection()
        connection: Any = raw.driver_connection
        # COPY bypasses SQLAlchemy, which writes JSON.
        texts = [name for name in names if isinstance(self._table.columns[name].type, JSON)]
        for name, (_, values) in product(texts, rows):
            values[name] = None if values[name] is None else encode(values[name])
        records = ((line, *(values[name] for name in names)) for line, values in rows)
        with measured_copy(self._table.name):
            await connection.copy_records_to_table(
                self._table.name, records=records, columns=[LINE, *names]
            )

    async def check(self, first: int, last: int) -> list[Fault]:
        """Return the first 100 faults by column: values of other records or earlier lines."""
        faults = []
        for names in self._constraints:
            statement = _taken(self._model, self._table, names)
            found = await self._session.execute(statement, {FIRST: first, LAST: last})
            faults += [self._fault(line, names, values) for line, *values in found]
        for name, target in self._references:
            statement = _missing(self._table, name, target)
            found = await self._session.execute(statement, {FIRST: first, LAST: last})
            faults += [self._resource.missing(name, value, line) for line, value in found]
        return faults

    async def insert(self, first: int, last: int) -> list[Fault]:
        """Store the records of these lines, except those whose value was taken meanwhile.

        Return the first 100 faults for the latter.
        """
        some = {FIRST: first, LAST: last}
        if len(self._unique) != 1:
            await self._session.execute(
                _insert_others(self._model, self._table, self._unique), some
            )
        if not self._unique:
            return []
        found = await self._session.execute(_insert(self._model, self._table, self._unique), some)
        return [await self._conflict(line, values) for line, *values in found]

    async def _conflict(self, line: int, values: Sequence[Any]) -> Fault:
        """Return why a line was not stored."""
        names = self._unique
        for name, value in zip(names, values, strict=True):
            if value is None:
                continue  # NULL conflicts with nothing.
            column = getattr(self._model, name)
            is_taken = select(exists().where(column == value))
            if len(names) == 1 or await self._session.scalar(is_taken):
                return self._fault(line, [name], [value])
        return self._fault(line, names, values)

    def _fault(self, line: int, names: Sequence[str], values: Sequence[Any]) -> Fault:
        if len(names) > 1:
            return Fault("", "uniqueItems", CONFLICT, line)
        return Fault(f"/{names[0]}", "uniqueItems", self._resource.taken(names[0], values[0]), line)


# Bounded, because clients choose the fields.
@lru_cache(TREES)
def _temporary(
    model: type[Base], names: tuple[str, ...], constraints: tuple[tuple[str, ...], ...]
) -> Table:
    table = f"{model.__tablename__}_lines"
    return Table(
        table,
        MetaData(),
        Column(LINE, BigInteger, primary_key=True, autoincrement=False),
        *(Column(name, getattr(model, name).type) for name in names),
        *(
            Index(f"{table}_{number}"[-MAX_NAME:], *columns)
            for number, columns in enumerate(constraints)
        ),
        prefixes=["TEMPORARY"],
        postgresql_on_commit="DROP",
    )


def _between(line: Any) -> Any:
    return line.between(bindparam(FIRST, type_=BigInteger), bindparam(LAST, type_=BigInteger))


@lru_cache(TREES)
def _taken(model: type[Base], table: Table, names: tuple[str, ...]) -> Select[Any]:
    """Return the statement that finds the lines whose values another record or line has."""
    line, earlier = table.columns[LINE], table.alias().columns
    values = {name: table.columns[name] for name in names}
    in_file = exists().where(
        earlier[LINE] < line, *(earlier[name] == value for name, value in values.items())
    )
    in_table = exists().where(*(getattr(model, name) == value for name, value in values.items()))
    found = select(line, *values.values()).where(_between(line), or_(in_file, in_table))
    return found.order_by(line).limit(MAX_FAULTS)


@lru_cache(TREES)
def _missing(table: Table, name: str, target: type[Base]) -> Select[Any]:
    """Return the statement that finds the lines that refer to no record."""
    line, value = table.columns[LINE], table.columns[name]
    there = exists().where(target.__table__.columns.id == value)
    found = select(line, value).where(_between(line), value.is_not(None), ~there)
    return found.order_by(line).limit(MAX_FAULTS)


def _insert_lines(model: type[Base], table: Table, condition: Any) -> Insert:
    columns = [column for column in table.columns if column.name != LINE]
    lines = select(*columns).where(condition).order_by(table.columns[LINE])
    # With parameters, an insert of the class would be a bulk insert of the ORM.
    target: Any = model.__table__
    return insert(target).from_select([column.name for column in columns], lines)


@lru_cache(TREES)
def _insert_others(model: type[Base], table: Table, unique: tuple[str, ...]) -> Insert:
    """Return the statement that stores the lines without any unique value.

    No line is skipped: any conflict is an error.
    """
    absent = [table.columns[name].is_(None) for name in unique]
    return _insert_lines(model, table, and_(_between(table.columns[LINE]), *absent))


@lru_cache(TREES)
def _insert(model: type[Base], table: Table, unique: tuple[str, ...]) -> Select[Any]:
    """Return the statement that stores lines, and finds those that were not stored."""
    line = table.columns[LINE]
    values = [table.columns[name] for name in unique]
    present = and_(_between(line), or_(*(value.is_not(None) for value in values)))
    if len(unique) == 1:
        statement = _insert_lines(model, table, _between(line))
        statement = statement.on_conflict_do_nothing(index_elements=unique)
    else:
        # Each of them may conflict.
        statement = _insert_lines(model, table, present).on_conflict_do_nothing()
    stored = statement.returning(*(getattr(model, name) for name in unique)).cte("_stored")
    # A stored record is line 0 here, before the line that it comes from. A join would depend on
    # statistics, which PostgreSQL lacks for a temporary table.
    both = (
        select(line, *values)
        .where(present)
        .union_all(select(literal(0, BigInteger), *stored.columns))
        .subquery()
        .columns
    )
    keys = [both[name] for name in unique]
    previous = func.lag(both[LINE]).over(partition_by=keys, order_by=both[LINE])
    found = select(both[LINE], *keys, previous.label(PREVIOUS)).subquery().columns
    return (
        select(found[LINE], *(found[name] for name in unique))
        .where(found[LINE] > 0, found[PREVIOUS].is_distinct_from(0))
        .order_by(found[LINE])
        .limit(MAX_FAULTS)
    )
