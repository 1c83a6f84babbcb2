"""The service with its own blueprints: these tests go with the example `foss`."""

from collections.abc import AsyncIterator

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from service import create_app
from service.common.web import App
from service.settings import Settings


@pytest.fixture
async def empty_database(engine: AsyncEngine) -> None:
    """Empty the tables that these tests use."""
    async with engine.begin() as connection:
        await connection.execute(text("TRUNCATE foss, idempotencykey RESTART IDENTITY"))


@pytest.fixture(scope="package")
async def app(settings: Settings) -> AsyncIterator[App]:
    """Return a running application."""
    app = create_app(settings)
    async with app.test_app():
        yield app
