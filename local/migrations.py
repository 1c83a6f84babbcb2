"""Chores around alembic that need more than its own command line."""

import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from service.common.embedded import start_server
from service.settings import ROOT

ALEMBIC = [sys.executable, "-m", "alembic"]


def run(alembic: list[str], arguments: list[str]) -> int:
    """Run alembic and return its exit code."""
    return subprocess.run([*alembic, *arguments], cwd=ROOT, check=False).returncode


def revise(message: str) -> int:
    """Create a migration from the models, against what the migrations make of an empty database."""
    return _run_on_empty_database(["revision", "--autogenerate", "-m", message])


def check() -> int:
    """Migrate an empty database and compare it with the models; no other database is touched."""
    return _run_on_empty_database(["check"])


def _run_on_empty_database(arguments: list[str]) -> int:
    # The server stops before its directory goes.
    with TemporaryDirectory() as directory, start_server(Path(directory) / "postgres") as server:
        # `.env` may name the developer's database, so leaving DATABASE_URL unset is not enough.
        own = {**os.environ, "DATABASE_URL": server.url()}
        own.pop("DATABASE_URL_FILE", None)
        for step in (["upgrade", "head"], arguments):
            done = subprocess.run([*ALEMBIC, *step], cwd=ROOT, env=own, check=False)
            if done.returncode:
                return done.returncode
    return 0


def print_pending(alembic: list[str]) -> int:
    """Print the SQL that `alembic upgrade head` would run."""
    current = subprocess.run(
        [*alembic, "current"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    if current.returncode:
        return current.returncode
    # The line reads `0123456789ab (head)`; it is missing where no migration ran yet.
    if current.stdout.rstrip().endswith("(head)"):
        print("-- Nothing is pending: the database is at the newest revision.")
        return 0
    revision = current.stdout.split()[0] if current.stdout.strip() else "base"
    command = [*alembic, "upgrade", f"{revision}:head", "--sql"]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)
    # It may be there, with nothing in it.
    created = "CREATE TABLE alembic_version"
    print(done.stdout.replace(created, f"{created[:12]} IF NOT EXISTS{created[12:]}"), end="")
    return done.returncode
