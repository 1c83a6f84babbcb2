"""Queries of the configured database, which start nothing."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import asyncpg

from migrations.objects import OBJECTS
from ops.console import CommandError, just
from ops.containers import compose
from ops.doctor.checking import NothingToCheckError
from service.common.database import COMMAND_GRACE_SECONDS, connect
from service.common.embedded import running_url
from service.name import DATABASE
from service.settings import Settings, parse_address

STATEMENT_SECONDS = 5
SECONDS = STATEMENT_SECONDS + COMMAND_GRACE_SECONDS
FACTS = f"""
SELECT json_build_object(
    'name', current_database(),
    'version', current_setting('server_version_num')::int / 10000,
    'read_only', current_setting('transaction_read_only') = 'on',
    'encoding', current_setting('server_encoding'),
    'limits', json_build_object(
        'max_connections', current_setting('max_connections')::int,
        'role', (SELECT rolconnlimit FROM pg_roles WHERE rolname = current_user),
        'database', (SELECT datconnlimit FROM pg_database WHERE datname = current_database())
    ),
    'reserved', current_setting('superuser_reserved_connections')::int
        + coalesce(current_setting('reserved_connections', true)::int, 0),
    'migrated', to_regclass('public.alembic_version') IS NOT NULL,
    'objects', (
        SELECT coalesce(json_agg(type || ' ' || identity ORDER BY identity), '[]')
        FROM ({OBJECTS}) AS objects WHERE identity <> 'public.alembic_version'
    )
)
"""  # noqa: S608  # Of constants.
REVISIONS = "SELECT coalesce(json_agg(version_num), '[]') FROM public.alembic_version"
NOW = "SELECT to_json(extract(epoch FROM clock_timestamp()))"
Query = Callable[[str], Any]


@dataclass(frozen=True)
class Facts:
    """What a database says of itself; `limits` of connections, by what sets them."""

    name: str
    version: int
    read_only: bool
    encoding: str
    limits: dict[str, int]
    reserved: int
    revisions: list[str]
    objects: list[str]


def look(query: Query) -> Facts:
    """Query the database."""
    found = query(FACTS)
    return Facts(revisions=query(REVISIONS) if found.pop("migrated") else [], **found)


def url(settings: Settings) -> str:
    """Return the URL of the database, without starting one. Raises NothingToCheckError."""
    if settings.database_url is not None:
        return settings.database_url.get_secret_value()
    found = running_url(settings.state_dir / "postgres")
    if found is None:
        raise NothingToCheckError(
            f"the embedded PostgreSQL does not run: it starts with `{just('up')}`"
        )
    return found


def query(url: str, sql: str) -> Any:
    """Return the JSON value that a query gives. Raises DatabaseError or CommandError."""

    async def fetch() -> str:
        connection = await connect(
            parse_address(url), statement_timeout=STATEMENT_SECONDS, session_settings={}
        )
        try:
            await connection.limit_statements()
            return str(await connection.fetchval(sql))
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
            # A `TimeoutError` has no text.
            reason = str(error).split("\n", 1)[0] or f"no answer within {SECONDS} s"
            raise CommandError(
                f"The database does not answer a query: {reason}. See the log of its server, or "
                "the privileges of the role in DATABASE_URL."
            ) from error
        finally:
            connection.terminate()

    # Not `asyncio.run`, which waits for the thread of a name service that does not answer.
    loop = asyncio.new_event_loop()
    try:
        return json.loads(loop.run_until_complete(fetch()))
    finally:
        loop.close()


def in_container(sql: str) -> Any:
    """Return the same of the database in containers. Raises EngineError."""
    psql = ["psql", "--username=postgres", f"--dbname={DATABASE}", "-XAtq", "-c", sql]
    return json.loads(compose.ask("exec", "--no-TTY", "postgres", *psql))
