"""One PostgreSQL for the run, one migrated database, and an application on it."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import cast

import pytest
import structlog
from alembic import command
from alembic.config import Config
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from quart import Quart
from sqlalchemy import MetaData, text
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.pool import NullPool

from service.common.database.engine import create_engine
from service.common.embedded import start_server
from service.common.web import App
from service.settings import ROOT, Settings
from tests import scheduling, summary, tracing
from tests.app import create_app
from tests.blueprints import account, note  # noqa: F401  # Their tables, which refer to each other.
from tests.blueprints.aside import Aside
from tests.client import Client, Running, read_certificates_once
from tests.contract import check_every_answer, got
from tests.databases.transaction_mode import pooled

POOLED = "--pgbouncer"
# A developer's own configuration must not affect the tests.
for name in Settings.model_fields:
    os.environ.pop(name.upper(), None)
    os.environ.pop(f"{name.upper()}_FILE", None)
Settings.model_config["env_file"] = None
os.environ["ENV_FILE"] = os.devnull
check_every_answer()
read_certificates_once()
# The default of structlog shows the variables of each frame, which takes seconds per traceback.
structlog.configure(
    processors=[
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.dev.ConsoleRenderer(
            colors=False, exception_formatter=structlog.dev.plain_traceback
        ),
    ]
)
# How fast a machine is says nothing about a test.
hypothesis_settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
hypothesis_settings.load_profile("any machine")
Quart.test_app_class = Running
Quart.test_client_class = Client  # type: ignore[assignment]  # It is one; its `open` takes fewer.


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option that puts a PgBouncer before the database."""
    parser.addoption(POOLED, action="store_true", help="run behind PgBouncer in transaction mode")


def pytest_configure(config: pytest.Config) -> None:
    """Add what concerns the run as a whole."""
    for plugin in (tracing, scheduling, summary):
        config.pluginmanager.register(plugin)


@pytest.fixture(autouse=True)
def marked_error(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail a test that is marked with errors and gets none of them."""
    got.clear()
    yield
    names = {name for mark in request.node.iter_markers("error") for name in mark.args}
    assert not names or names & {f"{status} {kind}" for status, kind in got}


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """Return the URL of a PostgreSQL that is gone after the run."""
    with TemporaryDirectory(prefix="flusk-tests-") as directory:
        # PgBouncer runs as the server's user, to whom the folder in it belongs.
        Path(directory).chmod(0o711)
        quick = dict.fromkeys(("fsync", "synchronous_commit", "full_page_writes"), "off")
        with start_server(Path(directory) / "postgres", **quick) as server:
            yield server.url()


@pytest.fixture(scope="session")
def database_url(postgres: str, pytestconfig: pytest.Config) -> Iterator[str]:
    """Return the URL of the migrated database that the tests share."""
    migrate(postgres)
    with pooled(postgres) if pytestconfig.getoption(POOLED) else nullcontext(postgres) as url:
        yield url


def migrate(url: str) -> None:
    """Apply the migrations, and create the tables of the blueprints of the tests."""
    command.upgrade(alembic_config(url), "head")
    asyncio.run(create_tables(url, Aside.metadata))


async def create_tables(url: str, metadata: MetaData) -> None:
    """Create the tables that are not there."""
    engine = create_engine(url, statement_timeout=0, poolclass=NullPool)
    async with engine.begin() as connection:
        await connection.execute(text("CREATE EXTENSION IF NOT EXISTS pg_trgm"))
        await connection.run_sync(metadata.create_all)
    await engine.dispose()


def alembic_config(url: str) -> Config:
    """Return alembic's configuration for a database."""
    config = Config(ROOT / "alembic.ini")
    config.attributes["url"] = url
    return config


@pytest.fixture(scope="session")
async def engine(postgres: str, database_url: str) -> AsyncIterator[AsyncEngine]:
    """Return connections separate from the application's, to check what it has stored."""
    del database_url  # It has migrated the database.
    engine = create_engine(postgres, statement_timeout=0, poolclass=NullPool)
    yield engine
    await engine.dispose()


@pytest.fixture
async def empty_database(engine: AsyncEngine) -> None:
    """Empty the tables that most tests use."""
    async with engine.begin() as connection:
        await connection.execute(text("TRUNCATE item, idempotencykey RESTART IDENTITY"))


@pytest.fixture(scope="session")
def settings(database_url: str) -> Settings:
    """Return the settings of the application under test."""
    # Connecting takes long if the machine has much to do.
    patient = f"{database_url}&connect_timeout=60"
    return Settings(database_url=patient, request_timeout=5, max_body_bytes=10_000)


@pytest.fixture(scope="session")
async def app(settings: Settings) -> AsyncIterator[App]:
    """Return a running application."""
    app = create_app(settings)
    async with app.test_app():
        yield app


@pytest.fixture
def client(app: App, empty_database: None) -> Client:
    """Return a client of the application, on empty tables."""
    return cast("Client", app.test_client())
