"""The table of the blueprint, as the real database keeps it."""

from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import insert, select, text
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from service.common.database.sqlstates import constraint_of, sqlstate_of
from service.foss.models import Foss
from tests.foss import factories

pytestmark = pytest.mark.usefixtures("empty_database")
# Values that a client must give; every other column fills itself, or may be NULL.
GIVEN = {"name", "email"}


async def store(engine: AsyncEngine, **changes: Any) -> int:
    """Store a record through a session of its own and return its id."""
    async with AsyncSession(engine) as session:
        number = await session.scalar(
            insert(Foss).values(factories.foss(**changes)).returning(Foss.id)
        )
        await session.commit()
    assert isinstance(number, int)
    return number


async def stored(engine: AsyncEngine) -> list[tuple[Any, ...]]:
    async with engine.connect() as connection:
        rows = await connection.execute(text("SELECT name, email FROM foss ORDER BY id"))
        return [tuple(row) for row in rows]


def test_the_table_is_called_as_the_class() -> None:
    assert Foss.__tablename__ == "foss"


def test_every_column_but_name_and_email_fills_itself() -> None:
    columns = Foss.__table__.columns
    needed = [one for one in columns if one.server_default is None and not one.nullable]

    assert {column.name for column in needed} == GIVEN


async def test_a_record_is_completed_by_the_database(engine: AsyncEngine) -> None:
    before = datetime.now(UTC)
    number = await store(engine, name="Ada", email="ada@example.org")
    async with AsyncSession(engine) as session:
        foss = (await session.scalars(select(Foss).where(Foss.id == number))).one()

    assert (foss.id, foss.name, foss.email, foss.row_version) == (1, "Ada", "ada@example.org", 1)
    assert foss.created_at == foss.updated_at
    assert foss.created_at.tzinfo is not None
    assert before <= foss.created_at <= datetime.now(UTC)


async def test_ids_are_numbered_by_the_database(engine: AsyncEngine) -> None:
    assert [await store(engine) for _ in range(3)] == [1, 2, 3]


async def test_an_id_cant_be_given(engine: AsyncEngine) -> None:
    with pytest.raises(DBAPIError) as caught:
        await store(engine, id=7)

    assert sqlstate_of(caught.value) == "428C9"  # generated_always
    assert await stored(engine) == []


async def test_an_email_is_stored_once(engine: AsyncEngine) -> None:
    await store(engine, name="Ada", email="ada@example.org")
    with pytest.raises(IntegrityError) as caught:
        await store(engine, name="Zed", email="ada@example.org")

    assert constraint_of(caught.value) == "uq_foss_email"
    assert await stored(engine) == [("Ada", "ada@example.org")]


async def test_emails_are_compared_case_sensitively(engine: AsyncEngine) -> None:
    await store(engine, email="ada@example.org")
    await store(engine, email="Ada@example.org")

    assert len(await stored(engine)) == 2


@pytest.mark.parametrize(
    ("changes", "constraint"),
    [
        ({"name": ""}, "ck_foss_name_length"),
        ({"name": "f"}, "ck_foss_name_length"),
        ({"name": "f" * 201}, "ck_foss_name_length"),
        ({"name": "🐘"}, "ck_foss_name_length"),
        ({"email": "a@"}, "ck_foss_email_length"),
        ({"email": "a" * 255}, "ck_foss_email_length"),
    ],
)
async def test_lengths_are_checked_by_the_database(
    engine: AsyncEngine, changes: dict[str, str], constraint: str
) -> None:
    with pytest.raises(IntegrityError) as caught:
        await store(engine, **changes)

    assert constraint_of(caught.value) == constraint
    assert await stored(engine) == []


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "fo"},
        {"name": "🐘" * 200},
        {"email": "a@b"},
        {"email": "a" * 254},
    ],
)
async def test_the_shortest_and_the_longest_are_stored(
    engine: AsyncEngine, changes: dict[str, str]
) -> None:
    await store(engine, **changes)

    assert len(await stored(engine)) == 1


@pytest.mark.parametrize("column", ["id", "name", "email", "created_at", "updated_at", "version"])
async def test_no_column_takes_null(engine: AsyncEngine, column: str) -> None:
    async with engine.connect() as connection:
        nullable = await connection.scalar(
            text(
                "SELECT is_nullable FROM information_schema.columns"
                " WHERE table_name = 'foss' AND column_name = :name"
            ),
            {"name": column},
        )

    assert nullable == "NO"


@pytest.mark.parametrize(
    ("statement", "rows"),
    [
        (
            """SELECT column_name, data_type FROM information_schema.columns
            WHERE table_name = 'foss'""",
            {
                ("id", "bigint"),
                ("name", "text"),
                ("email", "text"),
                ("created_at", "timestamp with time zone"),
                ("updated_at", "timestamp with time zone"),
                ("version", "bigint"),
            },
        ),
        (
            """SELECT column_name, identity_generation FROM information_schema.columns
            WHERE table_name = 'foss' AND is_identity = 'YES'""",
            {("id", "ALWAYS")},
        ),
        (
            """SELECT conname, contype::text FROM pg_constraint
            WHERE conrelid = 'foss'::regclass AND contype <> 'n'""",
            {
                ("pk_foss", "p"),
                ("uq_foss_email", "u"),
                ("ck_foss_name_length", "c"),
                ("ck_foss_email_length", "c"),
            },
        ),
        (
            """SELECT column_name, column_default FROM information_schema.columns
            WHERE table_name = 'foss' AND column_default IS NOT NULL""",
            {
                ("created_at", "now()"),
                ("updated_at", "now()"),
                ("version", "1"),
            },
        ),
    ],
    ids=["types", "identity", "constraints", "defaults"],
)
async def test_the_migrated_table_has_what_the_model_says(
    engine: AsyncEngine, statement: str, rows: set[tuple[str, str]]
) -> None:
    async with engine.connect() as connection:
        found = {tuple(row) for row in await connection.execute(text(statement))}

    assert found >= rows
