"""A session behind a pooler, where each transaction sets its own settings."""

from typing import Any

import asyncpg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine

from service.common.database.engine import create_engine


@pytest.fixture
def pooled(postgres: str) -> AsyncEngine:
    """Return an engine with one connection to the server itself, in autocommit."""
    engine = create_engine(postgres, statement_timeout=5, pool_size=1, max_overflow=0)
    return engine.execution_options(isolation_level="AUTOCOMMIT")


@pytest.mark.parametrize("values", [{"n": 1}, [{"n": 1}, {"n": 2}]], ids=["one", "many"])
async def test_a_statement_in_autocommit_has_the_settings_for_itself(
    pooled: AsyncEngine, values: Any
) -> None:
    """Whether it is sent with one row of values or with many."""
    async with pooled.connect() as connection:
        raw = await connection.get_raw_connection()
        driver: Any = raw.driver_connection
        await connection.execute(text("CREATE TEMPORARY TABLE seen (n int, timeout text)"))
        driver.settings_of_transaction = "SELECT set_config('statement_timeout', '7s', true)"
        await connection.execute(
            text("INSERT INTO seen VALUES (:n, current_setting('statement_timeout'))"), values
        )
        driver.settings_of_transaction = ""
        seen = (await connection.scalars(text("SELECT timeout FROM seen"))).all()
        after = await connection.scalar(text("SELECT current_setting('statement_timeout')"))
    await pooled.dispose()

    assert seen == ["7s"] * (len(values) if isinstance(values, list) else 1)
    assert after == "5s"


async def test_many_rows_of_which_one_is_refused_leave_the_session_usable(
    pooled: AsyncEngine,
) -> None:
    async with pooled.connect() as connection:
        raw = await connection.get_raw_connection()
        driver: Any = raw.driver_connection
        await connection.execute(text("CREATE TEMPORARY TABLE seen (n int CHECK (n < 2))"))
        driver.settings_of_transaction = "SELECT 1"
        with pytest.raises(IntegrityError):
            await connection.execute(text("INSERT INTO seen VALUES (:n)"), [{"n": 1}, {"n": 2}])
        stored = await connection.scalar(text("SELECT count(*) FROM seen"))
    await pooled.dispose()

    assert stored == 0


async def test_a_session_whose_settings_can_not_be_set_is_not_used_again(
    pooled: AsyncEngine,
) -> None:
    async with pooled.connect() as connection:
        raw = await connection.get_raw_connection()
        driver: Any = raw.driver_connection
        # As behind a pooler; what sets them fails after BEGIN.
        driver.settings_of_transaction = "SELECT 1 / 0"
        with pytest.raises(asyncpg.DivisionByZeroError):
            await connection.execute(text("SELECT 1"))
    async with pooled.connect() as connection:
        found = await connection.scalar(text("SELECT 1"))
    await pooled.dispose()

    assert driver.is_closed()
    assert found == 1
