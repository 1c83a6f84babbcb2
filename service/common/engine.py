"""From the settings to an engine."""

import asyncpg
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from service.common import embedded
from service.common.database_address import parse_address
from service.common.exceptions import DatabaseError
from service.settings import Settings

# The server's own limit comes first; this one is for a server that no longer answers at all.
COMMAND_GRACE_SECONDS = 5
# The last is what asyncpg says where no host is what `target_session_attrs` asks for.
UNREACHABLE = (
    OSError,
    ValueError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
)


def database_url(settings: Settings) -> str:
    """Return the configured URL, or that of the embedded PostgreSQL, which is then started."""
    if settings.database_url is not None:
        return settings.database_url.get_secret_value()
    return embedded.start(settings.state_dir / "postgres")


def create_engine(url: str, *, statement_timeout: float, **options: object) -> AsyncEngine:
    """Return an engine for a URL as libpq reads it; timeouts in seconds, 0 is none."""
    address = parse_address(url)
    settings = {"statement_timeout": str(round(statement_timeout * 1000))}
    if address.application_name is not None:
        settings["application_name"] = address.application_name

    async def connect() -> asyncpg.Connection:
        try:
            return await asyncpg.connect(
                address.dsn,
                timeout=address.connect_seconds,
                command_timeout=statement_timeout + COMMAND_GRACE_SECONDS
                if statement_timeout
                else None,
                server_settings=settings,
            )
        except UNREACHABLE as error:
            raise DatabaseError("The database can't be reached: try again soon.") from error

    return create_async_engine(
        "postgresql+asyncpg://",
        async_creator=connect,
        # An error's text goes to the log, where values of records have no place.
        hide_parameters=True,
        **options,
    )
