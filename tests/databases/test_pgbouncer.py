"""PgBouncer in front: in session mode, with its default configuration."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from alembic import command
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from ops.data.psql import connection
from service.common.database.engine import create_engine
from service.settings import ROOT
from tests.conftest import alembic_config
from tests.databases.conftest import Open
from tests.databases.servers import Server, give, pgbouncer, process
from tests.factories import item
from tests.ports import free_port

# Required settings; all others have their defaults.
CONFIGURATION = """
[databases]
postgres = host=127.0.0.1 port={server}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = trust
auth_file = {users}
"""
SETTINGS = text(
    "SELECT current_setting('statement_timeout'), current_setting('application_name'), "
    "current_setting('jit')"
)


@pytest.fixture(scope="module")
def pooled(server: Server) -> Iterator[Server]:
    """Return the server as it is reached by PgBouncer, which makes one connection to it."""
    program = pgbouncer()
    if program is None:
        pytest.skip("PgBouncer is not installed: install Debian's package pgbouncer")
    with TemporaryDirectory(prefix="flusk-pgbouncer-") as name:
        directory, port = Path(name), free_port()
        users = directory / "users"
        users.write_text('"postgres" ""\n"idle" ""\n')
        configuration = directory / "pgbouncer.ini"
        configuration.write_text(CONFIGURATION.format(server=server.port, port=port, users=users))
        give(directory)
        with process(program, configuration, log=directory / "log", port=port):
            yield replace(server, port=port)


async def test_the_service_works_behind_it(pooled: Server, open_on: Open) -> None:
    async with open_on(pooled.url(), database_pool_size=5) as client:
        ready = await client.get("/readyz")
        created = await asyncio.gather(*(client.post("/item", json=item()) for _ in range(20)))
        read = await asyncio.gather(*(client.get(f"/item/{number}") for number in range(1, 21)))

    assert ready.status_code == 200
    assert {response.status_code for response in created} == {201}
    assert {response.status_code for response in read} == {200}


@pytest.mark.parametrize("before", ["", "SET statement_timeout = 1; SET jit = on"])
async def test_its_sessions_have_the_settings_that_they_have_without_it(
    pooled: Server, server: Server, before: str
) -> None:
    """PgBouncer resets a connection by DISCARD ALL before the next client."""
    for each in (pooled, server):
        engine = create_engine(
            each.url(parameters="application_name=mine&jit=off"),
            statement_timeout=7,
            poolclass=NullPool,
        )
        if before:
            each.sql(before)
        async with engine.connect() as session:
            assert tuple((await session.execute(SETTINGS)).one()) == ("7s", "mine", "off")
            await session.rollback()
            assert (await session.execute(SETTINGS)).one()[0] == "7s"


async def test_a_setting_may_have_any_characters(pooled: Server) -> None:
    engine = create_engine(
        pooled.url(parameters="my.own=it's%20%5C'%20%22%3A1%25s"),
        statement_timeout=1,
        poolclass=NullPool,
    )
    async with engine.connect() as session:
        found = await session.scalar(text("SELECT current_setting('my.own')"))
    single = engine.execution_options(isolation_level="AUTOCOMMIT")
    async with single.connect() as session:
        alone = await session.scalar(text("SELECT current_setting('my.own')"))

    assert (found, alone) == ("it's \\' \":1%s",) * 2


async def test_nothing_is_set_beyond_a_transaction(pooled: Server) -> None:
    """In transaction mode another client has the session next."""
    engine = create_engine(pooled.url(), statement_timeout=7, pool_size=1)
    single = engine.execution_options(isolation_level="AUTOCOMMIT")
    async with single.connect() as session:
        within = await session.scalar(text("SHOW statement_timeout"))
        raw = await session.get_raw_connection()
        assert raw.driver_connection is not None
        beyond = await raw.driver_connection.fetchval("SHOW statement_timeout")
    await engine.dispose()

    assert (within, beyond) == ("7s", "0")


async def test_a_statement_that_fails_leaves_a_session_that_works(pooled: Server) -> None:
    engine = create_engine(pooled.url(), statement_timeout=1, pool_size=1)
    single = engine.execution_options(isolation_level="AUTOCOMMIT")
    async with single.connect() as session:
        for _ in range(2):
            with pytest.raises(DBAPIError, match="division by zero"):
                await session.scalar(text("SELECT 1 / cast(:n AS int)"), {"n": 0})
            assert await session.scalar(text("SELECT 1 / cast(:n AS int)"), {"n": 1}) == 1
    await engine.dispose()


async def test_prepared_statements_work_session_after_session(pooled: Server) -> None:
    for _ in range(3):
        engine = create_engine(pooled.url(), statement_timeout=1, pool_size=1)
        async with engine.connect() as session:
            for _ in range(3):
                assert await session.scalar(text("SELECT cast(:n AS int) + 1"), {"n": 1}) == 2
        await engine.dispose()


def test_migrations_and_psql_work_behind_it(pooled: Server) -> None:
    command.upgrade(alembic_config(pooled.url()), "head")
    address, environment = connection(pooled.url())
    done = subprocess.run(
        [pooled.programs / "psql", address, "-XAtc", "SELECT 1"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.stdout, done.stderr) == ("1\n", "")


def test_just_psql_works_behind_it(pooled: Server) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "ops", "psql", "-XAtc", "SELECT 1"],
        cwd=ROOT,
        env=os.environ | {"DATABASE_URL": pooled.url(), "PGHOST": "nowhere", "PGPORT": "1"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.stdout, done.stderr) == ("1\n", "")
