"""An application with the blueprints of the tests, on a database that has their tables too."""

from collections.abc import AsyncIterator
from typing import cast
from urllib.parse import urlsplit

import asyncpg
import pytest
from alembic import command
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.pool import NullPool

from service import create_app
from service.common.database import create_engine
from service.common.web import App
from service.settings import Settings
from tests.blueprints import account
from tests.blueprints.account.models import Aside
from tests.blueprints.account.payloads import SCHEMAS
from tests.client import Client
from tests.conftest import alembic_config

NAME = "blueprints"


@pytest.fixture(scope="session")
async def database_url(postgres: str) -> str:
    """Return the URL of a migrated database with the tables of the blueprints."""
    connection = await asyncpg.connect(postgres)
    await connection.execute(f"CREATE DATABASE {NAME}")
    await connection.close()
    url = urlsplit(postgres)._replace(path=f"/{NAME}").geturl()
    command.upgrade(alembic_config(url), "head")
    return url


@pytest.fixture(scope="session")
async def engine(database_url: str) -> AsyncIterator[AsyncEngine]:
    """Return connections beside those of the application, to see what it has really stored."""
    engine = create_engine(database_url, statement_timeout=0, poolclass=NullPool)
    async with engine.begin() as connection:
        await connection.run_sync(Aside.metadata.create_all)
    yield engine
    await engine.dispose()


@pytest.fixture
async def empty_database(engine: AsyncEngine) -> None:
    """Empty every table."""
    async with engine.begin() as connection:
        await connection.execute(text("TRUNCATE account, idempotencykey RESTART IDENTITY"))


@pytest.fixture(scope="session")
def settings(database_url: str) -> Settings:
    """Return the settings of the application under test."""
    # As many transactions at once as the tests of locks need.
    return Settings(database_url=database_url, request_timeout=5, database_pool_size=40)


@pytest.fixture(scope="session")
async def app(settings: Settings) -> AsyncIterator[App]:
    """Return a running application."""
    app = create_app(settings)
    app.add_schemas(SCHEMAS)
    app.register_blueprint(account.blueprint)
    async with app.test_app():
        document = await (await app.test_client().get("/openapi.json")).get_json()

        class AccountClient(Client):
            """A client that knows the contract of this application."""

            contract = document

        app.test_client_class = AccountClient  # type: ignore[assignment]  # It is one.
        yield app


@pytest.fixture
def client(app: App, empty_database: None) -> Client:
    """Return a client of the application, on empty tables."""
    return cast("Client", app.test_client())
