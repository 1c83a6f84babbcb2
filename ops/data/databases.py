"""The configured database: its address, its content, and PostgreSQL's programs for it."""

import json
import os
import subprocess
from dataclasses import dataclass
from typing import IO, Any

from migrations.objects import OBJECTS
from ops import modes
from ops.console import CommandError
from ops.containers import compose
from ops.data import clients, psql
from service.common.database import database_url, known_revisions
from service.name import DATABASE
from service.settings import ROOT, Settings

LOOK = r"""
SELECT to_regclass('public.alembic_version') IS NOT NULL AS migrated \gset
\set revisions []
\if :migrated
SELECT coalesce(json_agg(version_num), '[]') AS revisions FROM public.alembic_version \gset
\endif
SELECT json_build_object(
    'name', current_database(),
    'host', :'HOST',
    'port', :'PORT',
    'version', current_setting('server_version_num')::int / 10000,
    'revisions', :'revisions'::json,
    'objects', (
        SELECT coalesce(json_agg(type || ' ' || identity ORDER BY identity), '[]')
        FROM (OBJECTS) AS objects WHERE identity <> 'public.alembic_version'
    )
);
""".replace("OBJECTS", OBJECTS)
PSQL = ["--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1"]
NAMED_OBJECTS = 3


@dataclass(frozen=True)
class Database:
    """A database: its title for messages, and its content."""

    title: str
    version: int
    revisions: list[str]
    objects: list[str]
    setting: str

    def require_own(self, remedy: str) -> None:
        """Raise CommandError if it has content but no migration of this project."""
        known, _heads = known_revisions()
        if not self.objects or not known.isdisjoint(self.revisions):
            return
        more = len(self.objects) - NAMED_OBJECTS
        raise CommandError(
            f"The {self.title} may belong to another project: it holds "
            f"{', '.join(self.objects[:NAMED_OBJECTS])}{f' and {more} more' if more > 0 else ''}, "
            f"and its revision ({', '.join(self.revisions) or 'none'}) is not one of this "
            f"project's. Check {self.setting}{remedy}."
        )


class Access:
    """How PostgreSQL's programs reach the configured database."""

    def __init__(self, settings: Settings) -> None:
        self.in_containers = modes.in_containers(settings)
        settings = settings.direct
        self._setting = settings.database_setting
        self._embedded = settings.database_url is None
        self._address, self._environment = "", dict(os.environ)
        if not self.in_containers:
            self._address, self._environment = psql.connection(database_url(settings))

    def look(self) -> Database:
        """Query the database. Raises CommandError if it can't be reached."""
        command = ["psql", *PSQL, "--tuples-only", "--no-align"]
        said = json.loads(self.run(command, LOOK.encode()))
        place = {name: said.pop(name) for name in ("name", "host", "port")}
        return Database(title=self._title(**place), setting=self._setting, **said)

    def run(
        self,
        command: list[str],
        stdin: bytes | IO[bytes] | None = None,
        stdout: int | IO[bytes] = subprocess.PIPE,
        *,
        server: int | None = None,
    ) -> bytes:
        """Run a program on the database and return what it prints.

        `server` is the version of the server, for a dump. Raises CommandError if the
        program fails; it prints the reason itself.
        """
        name, *options = command
        if self.in_containers:
            program, version = [*compose.COMMAND, "exec", "--no-TTY", "postgres", name], ""
            database = ["--username=postgres", f"--dbname={DATABASE}"]
        else:
            chosen = clients.newest() if server is None else clients.for_dump(server)
            program, version = [str(chosen.folder / name)], f" {chosen.version}"
            database = [f"--dbname={self._address}"]
        if name == "pg_restore":  # It turns one stream into another.
            database = []
        given: dict[str, Any] = {"input": stdin} if isinstance(stdin, bytes) else {"stdin": stdin}
        done: subprocess.CompletedProcess[bytes] = subprocess.run(
            [*program, *options, *database],
            cwd=ROOT,
            env=self._environment,
            stdout=stdout,
            check=False,
            **given,
        )
        if done.returncode:
            raise CommandError(
                f"{name}{version} failed, for the reason above; nothing has changed."
            )
        return done.stdout or b""

    def _title(self, name: str, host: str, port: str) -> str:
        if self.in_containers:
            return "database of the containers"
        if self._embedded:
            return "embedded database"
        return f"database {name} at {host}{'' if host.startswith('/') else f':{port}'}"
