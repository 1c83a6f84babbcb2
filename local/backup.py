"""The data to a file and back: `just backup FILE`, `just restore FILE`."""

import os
import subprocess
from tempfile import TemporaryFile
from typing import IO

from local import compose, modes, psql
from local.console import CommandError, file_argument
from service.common.engine import database_url
from service.settings import ROOT, Settings

DUMP = ["pg_dump", "--format=custom"]
# As SQL. Whoever restores it owns it: the roles of where it comes from may be unknown here.
CONVERT = ["pg_restore", "--clean", "--if-exists", "--no-owner", "--no-acl", "--file=-"]
# All or nothing: a restore that fails leaves the database as it was.
RUN = ["psql", "--no-psqlrc", "--quiet", "--output=/dev/null", "--single-transaction"]
RUN += ["--set=ON_ERROR_STOP=1", "--file=-"]
# The tables that are younger than the file too, else a later migration would find them in its way.
DROP_TABLES = b"""
DO $$ DECLARE name text; BEGIN
    FOR name IN SELECT tablename FROM pg_tables WHERE schemaname = 'public' LOOP
        EXECUTE format('DROP TABLE public.%I CASCADE', name);
    END LOOP;
END $$;
"""


def backup(settings: Settings, arguments: list[str]) -> int:
    """Write the database to a file, which is complete or not there."""
    target = file_argument(arguments, "flusk.dump")
    part = target.with_name(f"{target.name}.part")
    try:
        part.touch(mode=0o600)
    except OSError as error:
        raise CommandError(f"Can't write {target}: {error.strerror}.") from error
    try:
        with part.open("wb") as output:
            _run(settings, DUMP, stdout=output)
        part.rename(target)
    finally:
        part.unlink(missing_ok=True)
    print(f"Wrote {_name(settings)} to {target}, {target.stat().st_size} bytes.")
    return 0


def restore(settings: Settings, arguments: list[str]) -> int:
    """Replace what is in the database by what is in the file."""
    source = file_argument(arguments, "flusk.dump")
    if not source.is_file():
        raise CommandError(f"There is no file {source}.")
    inside = modes.in_containers(settings)
    role = ["--role=migrate"] if inside else []
    with source.open("rb") as data, TemporaryFile() as script:
        script.write(DROP_TABLES)
        script.flush()
        _run(settings, [*CONVERT, *role], stdin=data, stdout=script)
        script.seek(0)
        _run(settings, RUN, stdin=script)
    if inside:
        compose.must("run", "--rm", "--no-deps", "--no-TTY", "roles")
    print(f"Restored {_name(settings)} from {source}.")
    return 0


def _name(settings: Settings) -> str:
    """Return which database it is, for people."""
    if modes.in_containers(settings):
        return "the database of the containers"
    if settings.database_url is None:
        return "the embedded database"
    return f"the database {psql.connection(database_url(settings))[0]}"


def _run(
    settings: Settings,
    command: list[str],
    stdin: IO[bytes] | None = None,
    stdout: IO[bytes] | None = None,
) -> None:
    offline = command[0] == "pg_restore"  # It turns one stream into another.
    if modes.in_containers(settings):
        inside = [*compose.COMMAND, "exec", "--no-TTY", "postgres", *command]
        database = ["--username=postgres", "--dbname=flusk"]
        environment = dict(os.environ)
    else:
        address, environment = psql.connection(database_url(settings))
        # The embedded server is newer than most systems' programs, which would refuse it.
        inside = [psql.executable(command[0], own=settings.database_url is None), *command[1:]]
        database = [f"--dbname={address}"]
    full = inside if offline else [*inside, *database]
    done = subprocess.run(full, cwd=ROOT, env=environment, stdin=stdin, stdout=stdout, check=False)
    if done.returncode:
        raise CommandError(f"{command[0]} failed, for the reason above; nothing has changed.")
