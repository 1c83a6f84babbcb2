"""Database URLs as libpq reads them, on the real server."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from sqlalchemy import event, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.pool import NullPool
from sqlalchemy.util import await_only

from service.common.database.engine import create_engine, database_url
from service.common.database.sqlstates import translate
from service.common.errors.exceptions import DatabaseError, DeadlineExceeded
from service.settings import Settings
from service.settings.address import parse_address


@asynccontextmanager
async def connect(
    url: str, parameters: str = "", *, statement_timeout: float = 0
) -> AsyncIterator[AsyncConnection]:
    """Connect to a server, with more parameters in its URL."""
    url += f"{'&' if '?' in url else '?'}{parameters}" if parameters else ""
    engine = create_engine(url, statement_timeout=statement_timeout, poolclass=NullPool)
    try:
        async with engine.connect() as connection:
            yield connection
    finally:
        await engine.dispose()


async def setting(connection: AsyncConnection, name: str) -> str:
    value = await connection.scalar(text("SELECT current_setting(:name)"), {"name": name})
    return str(value)


@pytest.mark.parametrize(
    ("url", "plain"),
    [
        ("postgresql://h/d", "postgresql://h/d"),
        ("postgres://h/d", "postgresql://h/d"),
        ("postgresql+asyncpg://h/d", "postgresql://h/d"),
        ("postgresql+psycopg2://h/d", "postgresql://h/d"),
        ("postgres+psycopg://h/d", "postgresql://h/d"),
        ("postgresql+asyncpg:///d?host=/run", "postgresql:///d?host=/run"),
        ("postgresql://u:postgres+x:p@h/d", "postgresql://u:postgres+x:p@h/d"),
        (
            "postgresql://u:p%40@h:5432/d?sslmode=require",
            "postgresql://u:p%40@h:5432/d?sslmode=require",
        ),
    ],
)
def test_a_drivers_suffix_makes_no_difference(url: str, plain: str) -> None:
    assert parse_address(url) == parse_address(plain)


def test_the_url_of_another_database_is_refused() -> None:
    with pytest.raises(ValueError, match="must begin with postgresql://"):
        parse_address("mysql://h/d")


def test_the_configured_url_is_the_database(tmp_path: Path) -> None:
    url = "postgresql+asyncpg://user:word@host/name"

    assert database_url(Settings(database_url=url, state_dir=tmp_path)) == url
    assert list(tmp_path.iterdir()) == []


async def test_libpqs_parameters_work_although_asyncpg_knows_only_some(postgres: str) -> None:
    parameters = (
        "application_name=x&connect_timeout=3&keepalives=1&sslmode=disable&target_session_attrs=any"
    )

    async with connect(postgres, parameters) as connection:
        assert await setting(connection, "application_name") == "x"


# What libpq's manual lists for version 18 (section 34.1.2), but those that name another server.
PARAMETERS = [
    "passfile=/nowhere",
    "channel_binding=prefer",
    "connect_timeout=10",
    "client_encoding=UTF8",
    "options=-c%20work_mem%3D5MB",
    "application_name=x",
    "fallback_application_name=x",
    "keepalives=0",
    "keepalives_idle=1",
    "keepalives_interval=1",
    "keepalives_count=1",
    "tcp_user_timeout=1000",
    "gssencmode=disable",
    "sslmode=prefer",
    "sslnegotiation=postgres",
    "sslcompression=0",
    "sslcert=/nowhere",
    "sslkey=/nowhere",
    "sslkeylogfile=/nowhere",
    "sslpassword=word",
    "sslcertmode=allow",
    "sslrootcert=/nowhere",
    "sslcrl=/nowhere",
    "sslcrldir=/nowhere",
    "sslsni=1",
    "requirepeer=",
    "ssl_min_protocol_version=TLSv1.2",
    "ssl_max_protocol_version=TLSv1.3",
    "min_protocol_version=3.0",
    "max_protocol_version=3.2",
    "krbsrvname=postgres",
    "gsslib=gssapi",
    "gssdelegation=0",
    "scram_client_key=x",
    "scram_server_key=x",
    "target_session_attrs=any",
    "load_balance_hosts=disable",
    "oauth_issuer=https://example.org",
    "oauth_client_id=x",
    "oauth_client_secret=x",
    "oauth_scope=x",
]


@pytest.mark.parametrize("parameter", PARAMETERS)
async def test_every_parameter_of_libpq_is_taken(postgres: str, parameter: str) -> None:
    async with connect(postgres, parameter) as connection:
        assert await connection.scalar(text("SELECT 1")) == 1


async def test_the_servers_own_settings_reach_it_by_options(postgres: str) -> None:
    async with connect(postgres, "options=-c%20work_mem%3D5MB") as connection:
        assert await setting(connection, "work_mem") == "5MB"


@pytest.mark.parametrize(
    ("parameters", "name"),
    [
        ("", "flusk"),
        ("fallback_application_name=other", "other"),
        ("application_name=mine", "mine"),
        ("application_name=mine&fallback_application_name=other", "mine"),
        ("application_name=a%20b%26c", "a b&c"),
    ],
)
async def test_the_connections_have_a_name(postgres: str, parameters: str, name: str) -> None:
    async with connect(postgres, parameters) as connection:
        assert await setting(connection, "application_name") == name


@pytest.mark.parametrize("seconds", ["0", "-1"])
async def test_a_connect_timeout_of_zero_or_less_is_none_as_libpq_says(
    postgres: str, seconds: str
) -> None:
    async with connect(postgres, f"connect_timeout={seconds}") as connection:
        assert await connection.scalar(text("SELECT 1")) == 1


async def test_a_connect_timeout_that_is_no_number_is_an_error_that_names_it(postgres: str) -> None:
    with pytest.raises(Exception, match="connect_timeout"):
        async with connect(postgres, "connect_timeout=soon"):
            pass


async def test_any_drivers_suffix_connects(postgres: str) -> None:
    async with connect(postgres.replace("postgresql:", "postgresql+psycopg2:")) as connection:
        assert await connection.scalar(text("SELECT 1")) == 1


async def test_hostaddr_is_the_address_if_there_is_no_host() -> None:
    """No server listens on port 1: the error names the address, so it was tried."""
    with pytest.raises(DatabaseError) as caught:
        async with connect("postgresql:///d?hostaddr=127.0.0.1&port=1"):
            pass

    assert isinstance(caught.value.__cause__, OSError)
    assert "127.0.0.1" in str(caught.value.__cause__)


@pytest.mark.parametrize(
    ("seconds", "value"), [(0, "0"), (5, "5s"), (0.25, "250ms"), (90, "90s"), (120, "2min")]
)
async def test_the_statement_timeout_is_the_servers(
    postgres: str, seconds: float, value: str
) -> None:
    async with connect(postgres, statement_timeout=seconds) as connection:
        assert await setting(connection, "statement_timeout") == value


async def test_a_statement_that_takes_too_long_is_cancelled_by_the_server(postgres: str) -> None:
    async with connect(postgres, statement_timeout=0.05) as connection:
        with pytest.raises(DBAPIError) as caught:
            await connection.execute(text("SELECT pg_sleep(60)"))

        assert isinstance(translate(caught.value), DeadlineExceeded)


async def test_a_short_statement_timeout_begins_once_the_connection_is_prepared(
    postgres: str,
) -> None:
    engine = create_engine(postgres, statement_timeout=0.1, poolclass=NullPool)
    first = []

    def note(connection: Any, _record: object) -> None:
        first.append(await_only(connection.driver_connection.fetchval("SHOW statement_timeout")))

    # Before SQLAlchemy's own.
    event.listen(engine.sync_engine, "connect", note, insert=True)
    async with engine.connect() as connection:
        assert first == ["0"]
        assert await setting(connection, "statement_timeout") == "100ms"
    await engine.dispose()


def url_of(postgres: str, database: str = "postgres", **parameters: str) -> str:
    """Return the URL of the server's socket, with other parameters."""
    socket = parse_qs(urlsplit(postgres).query)["host"][0]
    query = urlencode({"host": socket, "user": "postgres", **parameters})
    return f"postgresql:///{database}?{query}"


@pytest.mark.parametrize(
    "change",
    [
        {"host": "/nowhere"},
        {"host": "127.0.0.1", "port": "1"},
        {"host": "host.invalid"},
        {"user": "nobody_of_that_name"},
        {"database": "no_such_database"},
        {"target_session_attrs": "standby"},
        {"no_such_parameter": "1"},
    ],
    ids=lambda change: "&".join(f"{name}={value}" for name, value in change.items()),
)
async def test_a_database_that_cant_be_reached_is_a_database_error(
    postgres: str, change: dict[str, str]
) -> None:
    with pytest.raises(DatabaseError) as caught:
        async with connect(url_of(postgres, **change)):
            pass

    assert caught.value.code == 503
    assert caught.value.message == "The database can't be reached: try again soon."
    assert caught.value.__cause__ is not None


async def test_the_url_of_that_test_connects_when_nothing_is_wrong_with_it(postgres: str) -> None:
    async with connect(url_of(postgres)) as connection:
        assert await connection.scalar(text("SELECT 1")) == 1


async def test_a_server_that_never_answers_is_given_up() -> None:
    left = asyncio.Event()

    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()
        await writer.wait_closed()
        left.set()

    server = await asyncio.start_server(say_nothing, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        url = f"postgresql://u@127.0.0.1:{port}/d?sslmode=disable&connect_timeout=0.05"
        with pytest.raises(DatabaseError) as caught:
            async with connect(url):
                pass
        await left.wait()

    assert isinstance(caught.value.__cause__, TimeoutError)
