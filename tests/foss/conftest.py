"""The service with its own blueprints."""

from collections.abc import AsyncIterator

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from service import create_app
from service.common.web import App
from service.settings import Settings

TABLES = ["foss", "idempotencykey"]


@pytest.fixture
async def empty_database(engine: AsyncEngine) -> None:
    """Empty the tables that these tests use."""
    async with engine.begin() as connection:
        await connection.execute(text(f"TRUNCATE {', '.join(TABLES)} RESTART IDENTITY CASCADE"))


@pytest.fixture(scope="package")
async def app(settings: Settings) -> AsyncIterator[App]:
    """Return a running application."""
    app = create_app(settings)
    async with app.test_app():
        yield app
