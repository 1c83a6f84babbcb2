"""Backup and restore of the data: `just backup FILE`, `just restore FILE`."""

import fcntl
import os
import re
import shlex
from tempfile import TemporaryFile
from typing import IO

from migrations.objects import OBJECTS
from ops.console import CommandError, file_argument, just
from ops.containers import compose
from ops.data import databases
from ops.data.databases import Access, Database
from ops.files import whole_file
from service.name import NAME
from service.settings import Settings

DUMP = ["pg_dump", "--format=custom", "--schema=public", "--extension=*"]
LIST = ["pg_restore", "--list"]
# As SQL, without owners: the restoring role becomes the owner, because the source's may not exist.
# The schema alone: an ordinary role may not touch extensions, nor their comments.
CONVERT = ["pg_restore", "--schema=public", "--no-owner", "--no-acl", "--file=-"]
# All or nothing: a restore that fails leaves the database as it was.
RUN = ["psql", *databases.PSQL, "--output=/dev/null", "--single-transaction", "--file=-"]
# What is younger than the file goes too, else a later migration would find it in its way.
REPLACE = r"""
SET client_min_messages = warning;
SELECT format('DROP %s IF EXISTS %s CASCADE', type, identity) FROM ({objects}) AS objects
\gexec
SELECT format('CREATE EXTENSION %I SCHEMA public', name) FROM pg_available_extensions
WHERE installed_version IS NULL AND name IN ({extensions})
\gexec
"""
# From this version on PostgreSQL has `transaction_timeout`, which pg_restore always sets.
TRANSACTION_TIMEOUT = 17
HEAD_BYTES = 4096
FORCE = "--force"


def backup(settings: Settings, arguments: list[str]) -> int:
    """Write the database to a file, atomically."""
    target = file_argument(arguments, f"{NAME}.dump")
    with whole_file(target) as output:
        access = Access(settings)
        database = access.look()
        access.run(DUMP, stdout=output, server=database.version)
    print(f"Wrote the {database.title} to {target}, {target.stat().st_size} bytes.")
    return 0


def restore(settings: Settings, arguments: list[str]) -> int:
    """Replace the content of the database by that of the file."""
    source = file_argument([one for one in arguments if one != FORCE], f"{NAME}.dump")
    if not source.is_file():
        raise CommandError(f"There is no file {source}.")
    try:
        # Unbuffered, because other programs read it, more than once.
        data = source.open("rb", buffering=0)
    except OSError as error:
        raise CommandError(f"Can't read {source}: {error.strerror}.") from error
    with data:
        access = Access(settings)
        database = access.look()
        print(f"Replacing the content of the {database.title} by {source}.", flush=True)
        if FORCE not in arguments:
            again = just(f"restore {shlex.quote(str(source))} {FORCE}")
            database.require_own(f", or replace all of it with `{again}`")
        _restore(access, database, data)
    if access.in_containers:
        compose.must("run", "--rm", "--no-deps", "--no-TTY", "roles")
    print(f"Restored the {database.title} from {source}.")
    return 0


def _restore(access: Access, database: Database, data: IO[bytes]) -> None:
    try:
        contents = access.run(LIST, data).decode(errors="replace")
    except CommandError as error:
        raise CommandError(
            f"{error} If a newer pg_dump wrote the file, install PostgreSQL's client programs of "
            "that version."
        ) from error
    data.seek(0)
    role = ["--role=migrate"] if access.in_containers else []
    try:
        with TemporaryFile(buffering=0) as script:
            first = REPLACE.format(objects=OBJECTS, extensions=_literals(contents))
            script.write(first.encode())
            start = script.tell()
            access.run([*CONVERT, *role], data, script)
            if database.version < TRANSACTION_TIMEOUT:
                _forget_transaction_timeout(script, start)
            script.seek(0)
            access.run(RUN, script)
    except OSError as error:
        raise CommandError(
            f"Can't write a temporary file: {error.strerror}; nothing has changed. "
            "Set TMPDIR to another folder."
        ) from error


def _literals(contents: str) -> str:
    """Return the extensions in a table of contents, and an empty name, as a list of SQL."""
    names = re.findall(r"^\d+; 3079 \d+ EXTENSION - (.+?) *$", contents, re.MULTILINE)
    return ", ".join("'" + name.replace("'", "''") + "'" for name in ["", *names])


def _forget_transaction_timeout(script: IO[bytes], start: int) -> None:
    """Turn the setting, which an older server refuses, into a comment."""
    # pg_restore opens what it writes to for appending alone, also for the processes that share it.
    flags = fcntl.fcntl(script, fcntl.F_GETFL)
    fcntl.fcntl(script, fcntl.F_SETFL, flags & ~os.O_APPEND)
    script.seek(start)
    found = script.read(HEAD_BYTES).find(b"\nSET transaction_timeout = 0;\n")
    if found >= 0:
        script.seek(start + found + 1)
        script.write(b"-- ")
