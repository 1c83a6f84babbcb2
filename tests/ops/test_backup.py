"""`just backup` and `just restore` on databases that people bring."""

import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from alembic import command

from ops.console import CommandError
from ops.data import backup, clients
from service.settings import ROOT, Settings
from tests.conftest import alembic_config

_numbers = count(1)
# One of each kind that a database may have, some of which depend on others.
OTHERS = """
    CREATE TYPE mood AS ENUM ('fine');
    CREATE DOMAIN short AS text CHECK (length(VALUE) < 9);
    CREATE TYPE pair AS (one mood, two int);
    CREATE TYPE span AS RANGE (subtype = int);
    CREATE FUNCTION twice(one pair) RETURNS int LANGUAGE sql AS 'SELECT 2 * ($1).two';
    CREATE PROCEDURE nothing() LANGUAGE sql AS '';
    CREATE AGGREGATE total(int) (sfunc = int4pl, stype = int);
    CREATE OPERATOR === (leftarg = int, rightarg = int, function = int4eq);
    CREATE COLLATION plain FROM "C";
    CREATE TEXT SEARCH CONFIGURATION words (COPY = simple);
    CREATE SEQUENCE counter;
    CREATE TABLE "Odd ""name" (id serial, feels mood, over span, name short);
    ALTER TABLE "Odd ""name" ADD COLUMN person bigint REFERENCES person;
    CREATE STATISTICS related ON id, person FROM "Odd ""name";
    CREATE TABLE parts (id bigint) PARTITION BY RANGE (id);
    CREATE TABLE part PARTITION OF parts FOR VALUES FROM (0) TO (9);
    CREATE VIEW names AS SELECT name FROM person;
    CREATE MATERIALIZED VIEW kept AS SELECT * FROM names;
"""
PERSON = "CREATE TABLE person (id bigserial PRIMARY KEY, name text, email text)"
DATA = "INSERT INTO person (name, email) VALUES ('Ada', 'ada@example.org')"


MANY = """
    INSERT INTO person (name, email)
    SELECT sha512(n::text::bytea), n || '@example.org' FROM generate_series(1, 2000) AS n
"""


@pytest.fixture
def make_database(postgres: str) -> Iterator["Databases"]:
    """Make databases, and roles, that are gone after the test."""
    databases = Databases(postgres)
    yield databases
    databases.drop()


class Databases:
    """Databases in addition to the shared one."""

    def __init__(self, postgres: str) -> None:
        self.postgres = postgres
        self.names: list[str] = []
        self.roles: list[str] = []

    def __call__(self, *, migrated: bool = False) -> str:
        name = f"backup_{os.getpid()}_{next(_numbers)}"
        sql(self.postgres, f"CREATE DATABASE {name}")
        self.names.append(name)
        url = urlsplit(self.postgres)._replace(path=f"/{name}").geturl()
        if migrated:
            command.upgrade(alembic_config(url), "head")
            sql(url, PERSON)
        return url

    def of_ordinary_role(self) -> tuple[str, str]:
        """Return a database whose extension is the superuser's, as that and as an ordinary role."""
        url, role = self(), f"ordinary_{os.getpid()}_{next(_numbers)}"
        self.roles.append(role)
        sql(url, f"CREATE ROLE {role} LOGIN; GRANT CREATE, USAGE ON SCHEMA public TO {role}")
        sql(url, "CREATE EXTENSION pg_trgm")
        parts = urlsplit(url)
        netloc = f"{role}@{parts.netloc.rpartition('@')[2]}"
        return url, parts._replace(netloc=netloc).geturl()

    def drop(self) -> None:
        for name in self.names:
            sql(self.postgres, f"DROP DATABASE {name} WITH (FORCE)")
        for role in self.roles:
            sql(self.postgres, f"DROP ROLE {role}")


def sql(url: str, text: str) -> str:
    """Run SQL and return what it selects."""
    done = subprocess.run(
        [clients.newest().folder / "psql", "-XqAt", "-v", "ON_ERROR_STOP=1", "-d", url, "-f", "-"],
        input=text,
        env={**os.environ, "PGOPTIONS": "-c client_min_messages=warning"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def dump(url: str) -> str:
    """Return all of a database as SQL, but for what differs from one dump to another."""
    program = clients.newest().folder / "pg_dump"
    shown = subprocess.run([program, url], capture_output=True, text=True, check=True).stdout
    return "".join(line for line in shown.splitlines(True) if "restrict " not in line)


def save(url: str, file: Path) -> None:
    assert backup.backup(Settings(database_url=url), [str(file)]) == 0


def restore(url: str, file: Path, *options: str) -> None:
    assert backup.restore(Settings(database_url=url), [str(file), *options]) == 0


def test_everything_comes_back_and_nothing_younger_stays(
    make_database: Databases, tmp_path: Path
) -> None:
    url = make_database(migrated=True)
    sql(url, DATA)
    before = dump(url)
    save(url, tmp_path / "a.dump")
    sql(url, OTHERS)
    sql(url, "DELETE FROM person")
    assert dump(url) != before
    restore(url, tmp_path / "a.dump")

    assert dump(url) == before
    assert (tmp_path / "a.dump").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["a.dump"]


def test_types_functions_and_views_are_in_the_file_too(
    make_database: Databases, tmp_path: Path
) -> None:
    url, other = make_database(migrated=True), make_database()
    sql(url, f"{DATA}; {OTHERS}")
    save(url, tmp_path / "a.dump")
    restore(other, tmp_path / "a.dump")
    # And over itself, which drops each of them.
    restore(other, tmp_path / "a.dump")

    assert dump(other) == dump(url)


def test_an_ordinary_role_restores_and_leaves_the_extensions_as_they_are(
    make_database: Databases, tmp_path: Path
) -> None:
    url = make_database(migrated=True)
    sql(url, f"{DATA}; {OTHERS}")
    save(url, tmp_path / "superuser's.dump")
    superuser, ordinary = make_database.of_ordinary_role()
    extension = "SELECT oid, extowner, obj_description(oid) FROM pg_extension ORDER BY oid"
    before = sql(superuser, extension)
    restore(ordinary, tmp_path / "superuser's.dump")
    save(ordinary, tmp_path / "ordinary.dump")
    sql(ordinary, "DELETE FROM person")
    restore(ordinary, tmp_path / "ordinary.dump")

    assert sql(superuser, extension) == before
    assert sql(superuser, "SELECT name FROM person") == "Ada\n"


def test_objects_of_other_owners_make_a_restore_fail_atomically(
    make_database: Databases, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    superuser, ordinary = make_database.of_ordinary_role()
    command.upgrade(alembic_config(ordinary), "head")
    sql(ordinary, PERSON)
    save(ordinary, tmp_path / "a.dump")
    sql(ordinary, DATA)
    sql(superuser, "CREATE TABLE of_the_superuser (id bigint)")
    before = dump(superuser)
    with pytest.raises(CommandError, match="nothing has changed"):
        restore(ordinary, tmp_path / "a.dump")

    assert dump(superuser) == before
    assert "must be owner of table of_the_superuser" in capfd.readouterr().err


@pytest.mark.parametrize("kept", [0.6, 0.05, 0])
def test_a_torn_file_changes_nothing(make_database: Databases, tmp_path: Path, kept: int) -> None:
    url, file = make_database(migrated=True), tmp_path / "a.dump"
    sql(url, MANY)
    save(url, file)
    sql(url, DATA)
    before = dump(url)
    whole = file.read_bytes()
    file.write_bytes(whole[: int(len(whole) * kept)])
    with pytest.raises(CommandError, match="nothing has changed"):
        restore(url, file)

    assert dump(url) == before


@pytest.mark.parametrize(
    "foreign",
    [
        "CREATE TABLE orders (id bigint)",
        "CREATE VIEW things AS SELECT 1",
        "CREATE TABLE orders (); CREATE TABLE alembic_version AS SELECT 'abc' AS version_num",
    ],
)
def test_the_database_of_another_project_is_refused_by_name_without_force(
    make_database: Databases, tmp_path: Path, capfd: pytest.CaptureFixture[str], foreign: str
) -> None:
    mine, theirs, file = make_database(migrated=True), make_database(), tmp_path / "a.dump"
    save(mine, file)
    sql(theirs, foreign)
    before = dump(theirs)
    parts = urlsplit(theirs)
    secret = parts._replace(netloc=f"postgres:verysecret@{parts.hostname or ''}").geturl()
    with pytest.raises(CommandError, match="may belong to another project") as refused:
        restore(secret, file)
    said = capfd.readouterr()

    assert dump(theirs) == before
    for name in (parts.path[1:], "orders" if "orders" in foreign else "things"):
        assert name in str(refused.value)
    assert f"restore {shlex.quote(str(file))} --force" in str(refused.value)
    assert parts.path[1:] in said.out
    assert "verysecret" not in f"{refused.value}{said.out}{said.err}"

    restore(theirs, file, "--force")

    assert dump(theirs) == dump(mine)


def test_a_file_may_have_any_name(make_database: Databases, tmp_path: Path) -> None:
    name = '-it\'s a "Größe"\n#1, 100% $HOME `id`.dump'
    url, folder = make_database(migrated=True), tmp_path / 'a "folder" & $more'
    folder.mkdir()
    environment = {**os.environ, "DATABASE_URL": url}
    for recipe in ("backup", "restore"):
        done = subprocess.run(
            [ROOT / "just", recipe, name],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr

    assert [path.name for path in folder.iterdir()] == [name]


def test_a_folder_without_room_or_right_is_one_sentence_and_nothing_stays(
    make_database: Databases, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = make_database(migrated=True)
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("before")
    for name, reason in (
        ("folder", "it exists and is not a file"),
        ("none/a.dump", "No such file or directory"),
        ("file/a.dump", "Not a directory"),
        ("/proc/a.dump", "No such file or directory"),
        ("/dev/null", "it exists and is not a file"),
    ):
        with pytest.raises(CommandError, match=reason):
            save(url, tmp_path / name)
    monkeypatch.setattr(backup, "DUMP", [*backup.DUMP, "--no-such-option"])
    with pytest.raises(CommandError, match=r"pg_dump .* failed"):
        save(url, tmp_path / "file")

    assert (tmp_path / "file").read_text() == "before"
    assert {path.name for path in tmp_path.iterdir()} == {"file", "folder"}


def test_a_file_that_is_missing_or_is_no_backup_is_refused(
    make_database: Databases, tmp_path: Path
) -> None:
    url = make_database(migrated=True)
    (tmp_path / "text").write_text("SELECT 1;")
    with pytest.raises(CommandError, match="There is no file"):
        restore(url, tmp_path / "none")
    with pytest.raises(CommandError, match=r"pg_restore .* failed"):
        restore(url, tmp_path / "text")


def test_programs_that_are_too_old_are_named_with_their_version(
    make_database: Databases, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = make_database(migrated=True)
    newest = clients.newest()
    older = [clients.Clients(newest.version - 1, newest.folder)]
    monkeypatch.setattr(clients, "_installed", lambda: older)
    with pytest.raises(CommandError) as refused:
        save(url, tmp_path / "a.dump")

    assert f"The server is PostgreSQL {newest.version}" in str(refused.value)
    assert f"the newest pg_dump here is of version {newest.version - 1}" in str(refused.value)
    assert not list(tmp_path.iterdir())


def test_the_oldest_programs_that_fit_make_a_dump(monkeypatch: pytest.MonkeyPatch) -> None:
    here = [clients.Clients(version, Path(f"/{version}")) for version in (14, 15, 18)]
    monkeypatch.setattr(clients, "_installed", lambda: here)

    assert [clients.for_dump(server).version for server in (14, 15, 16, 18)] == [14, 15, 18, 18]
    assert clients.newest().version == 18


def test_a_dump_that_ends_for_want_of_room_leaves_nothing(
    make_database: Databases, tmp_path: Path
) -> None:
    """A limit of a process's files stands for a full disk."""
    url = make_database(migrated=True)
    limited = ["sh", "-c", 'ulimit -f 1; exec "$@"', "sh"]
    # Coverage would need a file of its own.
    environment = {n: value for n, value in os.environ.items() if not n.startswith("COVERAGE")}
    done = subprocess.run(
        [*limited, sys.executable, "-m", "ops", "backup", str(tmp_path / "a.dump")],
        cwd=ROOT,
        env={**environment, "DATABASE_URL": url},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 1
    assert "pg_dump" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())
