"""Engines from settings."""

from collections.abc import Mapping
from functools import partial
from math import inf
from types import MappingProxyType
from typing import Any

from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.util import await_only

from service.common import embedded
from service.common.contract import encode
from service.common.database.connection import connect
from service.common.database.pool_events import Fitness
from service.common.database.pooler import watch_pooler
from service.common.database.texts import SHAPES
from service.common.database.work_pool import watch_waits
from service.settings import Settings, parse_address


def database_url(settings: Settings) -> str:
    """Return the configured URL, or start the embedded PostgreSQL and return its URL."""
    if settings.database_url is not None:
        return settings.database_url.get_secret_value()
    return embedded.start(settings.state_dir / "postgres")


def create_engine(  # noqa: PLR0913  # Each by its name, and most have a default.
    url: str,
    *,
    statement_timeout: float,
    longest_statement: float = inf,
    setting: str = "DATABASE_URL",
    session_settings: Mapping[str, str] = MappingProxyType({}),
    fitness: Fitness | None = None,
    statements: int = SHAPES,
    **options: object,
) -> AsyncEngine:
    """Return an engine for the libpq URL of a setting; the time-out in seconds, 0 is none.

    The driver cancels at the latest after `longest_statement` what the server did not cancel.
    `session_settings` take precedence over those of the URL. Engines with the same `fitness`
    discard their idle connections together when one of them loses a connection. `statements` is
    how many compiled statements are cached.
    """
    address = parse_address(url)
    engine = create_async_engine(
        "postgresql+asyncpg://",
        async_creator=partial(
            connect,
            address,
            setting=setting,
            statement_timeout=statement_timeout,
            longest_statement=longest_statement,
            session_settings=session_settings,
        ),
        # Messages of errors are logged, and must not contain values of records.
        hide_parameters=True,
        json_serializer=encode,
        # There is a cache per kind of work, and clients can cause many distinct statements.
        query_cache_size=statements,
        **options,
    )
    # After SQLAlchemy's own statements on a new connection.
    event.listen(engine.sync_engine, "connect", _limit_statements)
    # First, because `Fitness` may close the connection.
    watch_waits(engine)
    (fitness or Fitness()).watch(engine)
    watch_pooler(engine)
    return engine


def _limit_statements(connection: Any, _record: object) -> None:
    await_only(connection.driver_connection.limit_statements())
