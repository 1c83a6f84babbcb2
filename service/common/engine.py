"""From the settings to an engine."""

from functools import partial

from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from service.common import embedded
from service.common.database_address import parse_address
from service.common.database_connection import COMMAND_GRACE_SECONDS, connect
from service.common.pool_events import Fitness
from service.settings import Settings

__all__ = ["COMMAND_GRACE_SECONDS", "create_engine", "database_url"]


def database_url(settings: Settings) -> str:
    """Return the configured URL, or that of the embedded PostgreSQL, which is then started."""
    if settings.database_url is not None:
        return settings.database_url.get_secret_value()
    return embedded.start(settings.state_dir / "postgres")


def create_engine(url: str, *, statement_timeout: float, **options: object) -> AsyncEngine:
    """Return an engine for a URL as libpq reads it; the timeout in seconds, 0 is none."""
    address = parse_address(url)
    engine = create_async_engine(
        "postgresql+asyncpg://",
        async_creator=partial(connect, address, statement_timeout=statement_timeout),
        # An error's text goes to the log, where values of records have no place.
        hide_parameters=True,
        **options,
    )
    Fitness().watch(engine)
    return engine
