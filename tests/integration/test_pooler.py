"""A session behind a pooler, where each transaction sets its own settings."""

from typing import Any

import asyncpg
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from service.common.database.engine import create_engine


@pytest.fixture
def pooled(database_url: str) -> AsyncEngine:
    """Return an engine with one connection, in autocommit."""
    engine = create_engine(database_url, statement_timeout=5, pool_size=1, max_overflow=0)
    return engine.execution_options(isolation_level="AUTOCOMMIT")


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
