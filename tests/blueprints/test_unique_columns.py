"""Records with several unique columns, one of which may be NULL."""

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any
from unittest.mock import AsyncMock

import pytest
from sqlalchemy import REAL, DateTime, Text, UniqueConstraint, func, insert, select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from service.common.bulk import StagedLines
from service.common.bulk.staging import _temporary
from service.common.database import CONFLICT, RecordColumns
from service.common.errors import Fault, RecordAlreadyExists
from service.common.resource import Record, Resource
from service.common.web import App
from tests.blueprints.aside import Aside

ADA = {"code": "ada", "alias": "ada@example.org"}
STORED = "SELECT code, alias FROM badge ORDER BY id"


class Badge(RecordColumns, Aside):
    """What a person wears."""

    __table_args__ = (UniqueConstraint("code"), UniqueConstraint("alias"))

    code: Mapped[str] = mapped_column(Text)
    alias: Mapped[str | None] = mapped_column(Text)


class Seat(RecordColumns, Aside):
    """A seat: two names, each optional, and a place that is unique as a pair."""

    __table_args__ = (
        UniqueConstraint("code"),
        UniqueConstraint("alias"),
        UniqueConstraint("row", "place"),
    )

    code: Mapped[str | None] = mapped_column(Text)
    alias: Mapped[str | None] = mapped_column(Text)
    row: Mapped[str] = mapped_column(Text)
    place: Mapped[str] = mapped_column(Text)


class Ticket(RecordColumns, Aside):
    """A ticket, which may have a number; PostgreSQL rounds it."""

    __table_args__ = (UniqueConstraint("number"),)

    number: Mapped[float | None] = mapped_column(REAL)


class Slot(RecordColumns, Aside):
    """A moment that only one may have."""

    __table_args__ = (UniqueConstraint("starts_at"),)

    starts_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))


BADGE = Resource(Badge)


@pytest.fixture
async def session(engine: AsyncEngine, empty_database: None) -> AsyncIterator[AsyncSession]:
    """Return a transaction beside the record of Ada, which is stored."""
    async with engine.begin() as connection:
        await connection.execute(text("TRUNCATE badge, seat, slot, ticket RESTART IDENTITY"))
        await connection.execute(insert(Badge).values(ADA))
    async with AsyncSession(engine) as session:
        yield session


async def stage(session: AsyncSession, *badges: tuple[str, str | None]) -> StagedLines:
    staged = StagedLines(session, BADGE)
    rows = [(n, {"code": code, "alias": alias}) for n, (code, alias) in enumerate(badges, 1)]
    await staged.stage(rows)
    return staged


def taken(line: int, name: str, value: Any) -> Fault:
    sentence = f"{name.capitalize()} `{value}` has already been taken"
    return Fault(f"/{name}", "uniqueItems", sentence, line)


async def test_each_column_is_checked_before_anything_is_stored(session: AsyncSession) -> None:
    staged = await stage(
        session,
        ("ada", None),
        ("b", "ada@example.org"),
        ("c", "same@example.org"),
        ("d", "same@example.org"),
        ("c", None),
    )
    found = await staged.check(1, 5)

    assert sorted(found, key=lambda fault: fault.line or 0) == [
        taken(1, "code", "ada"),
        taken(2, "alias", "ada@example.org"),
        taken(4, "alias", "same@example.org"),
        taken(5, "code", "c"),
    ]


async def test_lines_without_a_conflict_are_stored(session: AsyncSession) -> None:
    badges = [("a", None), ("b", None), ("c", "c@example.org")]
    staged = await stage(session, *badges)
    faults = [*await staged.check(1, 3), *await staged.insert(1, 3)]
    rows = (await session.execute(text(STORED))).all()

    assert faults == []
    assert [tuple(row) for row in rows[1:]] == badges


async def test_what_is_taken_after_the_check_is_told_by_its_column(
    session: AsyncSession, engine: AsyncEngine
) -> None:
    staged = await stage(session, ("a", "a@example.org"), ("b", None), ("c", "c@example.org"))
    checked = await staged.check(1, 3)
    async with engine.begin() as connection:
        await connection.execute(insert(Badge).values({"code": "c", "alias": None}))
        await connection.execute(insert(Badge).values({"code": "z", "alias": "a@example.org"}))
    found = await staged.insert(1, 3)

    assert checked == []
    assert found == [taken(1, "alias", "a@example.org"), taken(3, "code", "c")]


async def test_a_line_without_unique_values_is_stored_or_refused(session: AsyncSession) -> None:
    values = {"code": None, "alias": None, "row": "A"}
    staged = StagedLines(session, Resource(Seat))
    await staged.stage([(line, values | {"place": place}) for line, place in enumerate("12", 1)])
    await staged.stage([(3, values | {"place": "1"})])
    faults = await staged.insert(1, 2)
    stored = await session.scalar(select(func.count()).select_from(Seat))
    with pytest.raises(IntegrityError):
        await staged.insert(3, 3)

    assert (faults, stored) == ([], 2)


async def test_lines_that_have_the_values_of_several_columns_twice_are_named(
    session: AsyncSession,
) -> None:
    await session.execute(insert(Seat).values({"code": "own", "row": "B", "place": "2"}))
    seats = [("A", "1"), ("B", "1"), ("A", "1"), ("A", "2"), ("B", "2")]
    rows = [
        (line, {"code": str(line), "row": row, "place": place})
        for line, (row, place) in enumerate(seats, 1)
    ]
    staged = StagedLines(session, Resource(Seat))
    await staged.stage(rows)
    found = await staged.check(1, 5)

    assert found == [Fault("", "uniqueItems", CONFLICT, line) for line in (3, 5)]


def test_the_indexes_of_lines_have_names_that_postgresql_takes() -> None:
    model: Any = type("Long", (), {"__tablename__": "t" * 60, "code": Badge.code})
    table = _temporary(model, ("code",), (("code",),))

    # SQLAlchemy refuses names of more than 63 bytes.
    assert [one.name for one in table.indexes] == [f"{'t' * 55}_lines_0"]


@pytest.mark.parametrize("name", ["code", "alias"])
async def test_a_conflict_of_one_record_names_its_column(session: AsyncSession, name: str) -> None:
    values = {"code": "other", "alias": "other@example.org"} | {name: ADA[name]}
    with pytest.raises(RecordAlreadyExists) as caught:
        await BADGE.insert(session, values)

    assert str(caught.value) == taken(0, name, ADA[name]).message


async def test_a_conflict_names_a_moment_as_records_do(session: AsyncSession) -> None:
    slots = Resource(Slot)
    values = {"starts_at": datetime.fromisoformat("2026-01-01T00:00:00+05:00")}
    await session.execute(insert(Slot).values(values))
    with pytest.raises(RecordAlreadyExists) as caught:
        await slots.insert(session, values)

    moment = "2025-12-31T19:00:00.000000Z"
    assert str(caught.value) == f"Starts at `{moment}` has already been taken"


async def test_records_without_a_unique_value_do_not_wait_for_each_other(
    session: AsyncSession, app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    del session
    tickets = Resource(Ticket)
    # A shared statement takes one of them after another.
    shared = AsyncMock(side_effect=AssertionError)
    monkeypatch.setitem(vars(tickets), "_insert_batch", shared)
    made = await asyncio.gather(
        *(tickets.insert(app.database.single_write(), {"number": None}) for _ in range(2))
    )

    assert len({record.id for record in made}) == 2


async def test_a_unique_value_that_postgresql_changes_is_an_error(
    session: AsyncSession, app: App
) -> None:
    del session
    tickets = Resource(Ticket)
    first, changed, sharing = await asyncio.gather(
        *(
            tickets.insert(app.database.single_write(), {"number": number})
            for number in (0.5, 0.1, 0.25)
        ),
        return_exceptions=True,
    )

    assert "has changed a value of `number`" in str(changed)
    assert isinstance(first, Record)
    assert isinstance(sharing, Record)
