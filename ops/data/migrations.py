"""Migrations on the configured database, and on an empty one."""

import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from ops.console import CommandError
from service.common.embedded import start_server
from service.settings import ROOT, Settings

PYTHON = [sys.executable]


def run(python: list[str], arguments: list[str], **environment: str) -> int:
    """Run `python -m migrations` and return its exit code."""
    return subprocess.run(
        [*python, "-m", "migrations", *arguments],
        cwd=ROOT,
        env=os.environ | environment,
        check=False,
    ).returncode


def revise(_settings: Settings, arguments: list[str]) -> int:
    """Create a migration from the models, compared with an empty database that was migrated."""
    # It becomes the first line of a docstring, which ends with a full stop.
    line = " ".join(" ".join(arguments).split()).rstrip(".")
    if not line or not line.isprintable():
        raise CommandError("Describe the migration in one line of text.")
    return _run_on_empty_database(["revision", f"--message={line}"])


def check(_settings: Settings, _arguments: list[str]) -> int:
    """Migrate an empty database, compare it with the models, and downgrade."""
    return _run_on_empty_database(["check"])


def _run_on_empty_database(arguments: list[str]) -> int:
    # The server stops before its directory goes.
    with TemporaryDirectory() as directory, start_server(Path(directory) / "postgres") as server:
        # Neither the environment nor `.env` may name the developer's database.
        others = ("DATABASE_URL_FILE", "DATABASE_DIRECT_URL", "DATABASE_DIRECT_URL_FILE")
        alone = dict.fromkeys(others, "") | {"ENV_FILE": os.devnull}
        return run(PYTHON, arguments, DATABASE_URL=server.url(), **alone)
