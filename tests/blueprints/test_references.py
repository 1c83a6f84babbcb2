"""Records that refer to others."""

import asyncio
from collections.abc import Callable

import pytest
from sqlalchemy import ForeignKey, Text, UniqueConstraint, insert, text
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.orm import Mapped, mapped_column

from service.common.database import RecordColumns, SingleWrite
from service.common.resource.batches import insert_batch, update_batch
from service.common.web import App
from tests.blueprints.aside import Aside


class Maker(RecordColumns, Aside):
    """Who makes parts."""


class Part(RecordColumns, Aside):
    """A part that may have a maker."""

    __table_args__ = (UniqueConstraint("code"),)

    code: Mapped[str] = mapped_column(Text)
    maker_id: Mapped[int | None] = mapped_column(ForeignKey("maker.id"))


@pytest.fixture
async def single_write(app: App, engine: AsyncEngine) -> Callable[[], SingleWrite]:
    """Return what gives sessions, beside the maker 1 and the parts 1 to 3, which are stored."""
    async with engine.begin() as connection:
        await connection.execute(text("TRUNCATE maker, part RESTART IDENTITY"))
        await connection.execute(insert(Maker).values(row_version=1))
        await connection.execute(insert(Part), [{"code": str(number)} for number in range(3)])
    return app.database.single_write


# If the statement failed, all would be stored one by one.
async def test_a_batch_of_inserts_skips_what_refers_to_none(
    single_write: Callable[[], SingleWrite],
) -> None:
    insert_one = insert_batch(Part, "code")
    calls = [
        insert_one(single_write(), code, {"code": code, "maker_id": maker})
        for code, maker in (("a", 1), ("b", 99), ("c", None))
    ]
    found = await asyncio.gather(*calls)

    assert [record is not None for record in found] == [True, False, True]


async def test_a_batch_of_updates_skips_what_refers_to_none(
    single_write: Callable[[], SingleWrite],
) -> None:
    update_one = update_batch(Part, frozenset({"maker_id"}))
    calls = [
        update_one(single_write(), key, {"maker_id": maker})
        for key, maker in enumerate((1, 99, None), 1)
    ]
    found = await asyncio.gather(*calls)

    assert [record is not None for record in found] == [True, False, True]


# The check of the foreign key would wait for the lock, and all would be stored one by one.
async def test_a_batch_skips_what_refers_to_a_locked_record(
    single_write: Callable[[], SingleWrite], engine: AsyncEngine
) -> None:
    insert_one = insert_batch(Part, "code")
    async with engine.begin() as connection:
        await connection.execute(text("SELECT FROM maker FOR UPDATE"))
        calls = [
            insert_one(single_write(), code, {"code": code, "maker_id": maker})
            for code, maker in (("a", 1), ("b", None))
        ]
        found = await asyncio.gather(*calls)

    assert [record is not None for record in found] == [False, True]
