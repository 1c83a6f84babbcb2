"""An unreachable database: the log says which, and what to do; the client gets no details."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Sequence

import pytest

from service import maintenance
from service.common.database.database import Database
from service.logs import configure_logs
from service.settings import ROOT, Settings
from tests.databases.conftest import Open
from tests.databases.servers import Server
from tests.envelope import error_of

REASONS = [
    (
        "postgresql://u:hidden@host.invalid/d",
        "the host name host.invalid can't be resolved",
    ),
    ("postgresql://u:hidden@127.0.0.1:1/d", "no server listens at 127.0.0.1:1"),
    ("postgresql://u:hidden@/d?host=/nowhere", "no server listens at /nowhere/.s.PGSQL.5432"),
    (
        "postgresql://u:hidden@127.0.0.1:1,host.invalid/d",
        "no server listens at 127.0.0.1:1",
    ),
    (
        "postgresql://with_password:hidden@127.0.0.1:{port}/postgres",
        "127.0.0.1:{port} refuses the password of user with_password",
    ),
    (
        "postgresql://nobody:hidden@127.0.0.1:{port}/postgres",
        '127.0.0.1:{port} refuses user nobody (role "nobody" does not exist)',
    ),
    (
        "postgresql://postgres:hidden@127.0.0.1:{port}/missing",
        "127.0.0.1:{port} has no database missing",
    ),
    (
        "postgresql://postgres:hidden@127.0.0.1:{port}/postgres?target_session_attrs=standby",
        "127.0.0.1:{port} does not match target_session_attrs=standby",
    ),
    (
        "postgresql://postgres:hidden@127.0.0.1:{port}/postgres?sslmode=require",
        "127.0.0.1:{port} can't be reached",
    ),
    (
        "postgresql://postgres:hidden@127.0.0.1:{port}/postgres?nonsense=1",
        '127.0.0.1:{port} refuses the connection (unrecognized configuration parameter "nonsense")',
    ),
]


@pytest.mark.parametrize(("url", "reason"), REASONS)
async def test_the_log_names_host_setting_and_remedy_and_the_response_does_not(
    server: Server, open_on: Open, capsys: pytest.CaptureFixture[str], url: str, reason: str
) -> None:
    configure_logs(Settings(log_format="json"))
    async with open_on(url.format(port=server.port)) as client:
        response = await client.get("/readyz")
    error = await error_of(response, 503, "DatabaseError")
    log = capsys.readouterr().out

    assert error["message"] == "The database can't be reached: try again soon."
    assert "DATABASE_URL: " in log
    assert reason.format(port=server.port).replace('"', '\\"') in log
    assert log.count("\n") == 1
    assert "hidden" not in log


async def test_the_log_of_maintenance_names_them_too(capsys: pytest.CaptureFixture[str]) -> None:
    settings = Settings(database_url="postgresql://u:hidden@127.0.0.1:1/d", log_format="json")
    configure_logs(settings)
    database = Database(settings)
    await database.open()
    done = await maintenance.run_jobs(database, asyncio.Event())
    await database.close()
    log = capsys.readouterr().out

    assert not done
    assert "DATABASE_URL: no server listens at 127.0.0.1:1" in log
    assert "hidden" not in log


@pytest.mark.parametrize("command", [("alembic", "upgrade", "head"), ("ops", "psql")])
def test_commands_say_it_in_a_sentence(command: Sequence[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=ROOT,
        env=os.environ | {"DATABASE_URL": "postgresql://u:hidden@127.0.0.1:1/d"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode != 0
    assert "DATABASE_URL" in done.stderr
    assert "127.0.0.1:1" in done.stderr
    assert "Traceback" not in done.stderr
    assert "hidden" not in done.stdout + done.stderr


def test_a_migration_of_a_database_that_takes_no_changes_says_so(server: Server) -> None:
    server.sql("CREATE DATABASE standing")
    url = server.url("idle").replace("/postgres?", "/standing?options=-c%20")
    done = subprocess.run(
        [sys.executable, "-m", "alembic", "upgrade", "head"],
        cwd=ROOT,
        env=os.environ | {"DATABASE_URL": f"{url}default_transaction_read_only%3Don"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode != 0
    assert "DATABASE_URL: the database is read-only" in done.stderr
    assert "Traceback" not in done.stderr
