"""The application of the tests with the blueprints `account` and `note` too."""

from collections.abc import AsyncIterator

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from service.common.web import App
from service.settings import Settings
from tests.app import contract_of, create_app
from tests.blueprints import account, note
from tests.client import Client


@pytest.fixture
async def empty_database(engine: AsyncEngine) -> None:
    """Empty the tables that these tests use."""
    async with engine.begin() as connection:
        await connection.execute(text("TRUNCATE account, note, idempotencykey RESTART IDENTITY"))


@pytest.fixture(scope="session")
def settings(database_url: str) -> Settings:
    """Return the settings of the application under test."""
    # As many transactions at once as the tests of locks need.
    return Settings(database_url=database_url, request_timeout=5, database_pool_size=40)


@pytest.fixture(scope="session")
async def app(settings: Settings) -> AsyncIterator[App]:
    """Return a running application."""
    app = create_app(settings)
    app.register_blueprint(account.blueprint)
    app.register_blueprint(note.blueprint)
    async with app.test_app():

        class AccountClient(Client):
            """A client that knows the contract of this application."""

            contract = contract_of(app)

        app.test_client_class = AccountClient  # type: ignore[assignment]  # It is one.
        yield app
