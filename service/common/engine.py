"""From a database URL, as libpq reads it, to an engine."""

import re
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import asyncpg
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from service.common import embedded
from service.common.exceptions import DatabaseError
from service.settings import Settings, SettingsError

CONNECT_SECONDS = 5
# The server's own limit comes first; this one is for a server that no longer answers at all.
COMMAND_GRACE_SECONDS = 5
# Parameters that concern libpq alone; asyncpg would pass them on to the server.
LIBPQ_ONLY = frozenset(
    {
        "channel_binding",
        "client_encoding",
        "connect_timeout",
        "fallback_application_name",
        "gssdelegation",
        "gssencmode",
        "keepalives",
        "keepalives_count",
        "keepalives_idle",
        "keepalives_interval",
        "load_balance_hosts",
        "max_protocol_version",
        "min_protocol_version",
        "oauth_client_id",
        "oauth_client_secret",
        "oauth_issuer",
        "oauth_scope",
        "require_auth",
        "requirepeer",
        "requiressl",
        "scram_client_key",
        "scram_server_key",
        "servicefile",
        "sslcertmode",
        "sslcompression",
        "sslcrldir",
        "sslkeylogfile",
        "sslsni",
        "tcp_user_timeout",
    }
)


# The last is what asyncpg says where no host is what `target_session_attrs` asks for.
UNREACHABLE = (
    OSError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
)


def database_url(settings: Settings) -> str:
    """Return the configured URL, or that of the embedded PostgreSQL, which is then started."""
    if settings.database_url is not None:
        return settings.database_url.get_secret_value()
    return embedded.start(settings.state_dir / "postgres")


def libpq_url(url: str) -> str:
    """Return a database URL without a driver's suffix, as libpq's programs read it."""
    return re.sub(r"^postgres(?:ql)?(?:\+\w+)?:", "postgresql:", url)


def create_engine(url: str, *, statement_timeout: float, **options: object) -> AsyncEngine:
    """Return an engine for a URL as libpq reads it; timeouts in seconds, 0 is none."""
    parts = urlsplit(libpq_url(url))
    query = dict(parse_qsl(parts.query))
    if address := query.pop("hostaddr", None):
        query.setdefault("host", address)
    known = {name: value for name, value in query.items() if name not in LIBPQ_ONLY}
    dsn = urlunsplit(parts._replace(query=urlencode(known)))
    connect_seconds = _connect_seconds(query.get("connect_timeout"))
    settings = {"statement_timeout": str(round(statement_timeout * 1000))}
    if "application_name" not in query:
        settings["application_name"] = query.get("fallback_application_name", "flusk")

    async def connect() -> asyncpg.Connection:
        try:
            return await asyncpg.connect(
                dsn,
                timeout=connect_seconds,
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


def _connect_seconds(given: str | None) -> float | None:
    """Return `connect_timeout` as libpq reads it: zero, or less, is no limit."""
    if not given:
        return CONNECT_SECONDS
    try:
        seconds = float(given)
    except ValueError as error:
        raise SettingsError(
            f"DATABASE_URL: connect_timeout={given} is not a number of seconds."
        ) from error
    return seconds if seconds > 0 else None
