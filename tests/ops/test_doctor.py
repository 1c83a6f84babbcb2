"""`just doctor`: each fault is a sentence that says what is wrong and what to do."""

import asyncio
import json
import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest
from alembic import command
from sqlalchemy import text
from sqlalchemy.pool import NullPool

from ops import bootstrap
from ops.containers import compose, engine, passwords
from ops.doctor import __main__ as doctor
from ops.doctor import checking, database, machine, programs, project, stack, subject
from ops.doctor.checking import Finding, NotChecked, Outcome
from ops.doctor.subject import Subject
from ops.local import stack as local_stack
from service.common.database import create_engine
from service.settings import ROOT, Settings, load_settings
from tests.conftest import alembic_config
from tests.ops.project import Project, copy_project, fake_program, hide_nginx
from tests.ports import free_port

Checked = Callable[[Subject], Outcome]
STOPPED = "echo 'Cannot connect to the Docker daemon at unix:///run/d.sock.' >&2; exit 1"
PASSWORDS = "".join(f"{name}={'x' * 16}\n" for name in passwords.NAMES)


@pytest.fixture(autouse=True)
def env_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give each test a `.env`, which is missing, a folder for its state, and no Docker."""
    path = tmp_path / ".env"
    for module in (project, subject, compose, passwords):
        monkeypatch.setattr(module, "ENV_FILE", path)
    monkeypatch.setitem(Settings.model_config, "env_file", path)
    monkeypatch.setenv("STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setattr(engine, "is_installed", lambda: False)
    return path


def wrong(check: Checked) -> list[str]:
    """Return what a check says is wrong, each with what to do."""
    found = checking.run(partial(check, Subject()))
    assert isinstance(found, list), found
    return [f"{one.problem} {one.remedy}".strip() for one in found]


def fine(check: Checked) -> str:
    """Return what a check says if nothing is wrong."""
    found = checking.run(partial(check, Subject()))
    assert isinstance(found, str), found
    return found


def not_checked(check: Checked) -> str:
    """Return why a check had nothing to look at."""
    found = checking.run(partial(check, Subject()))
    assert isinstance(found, NotChecked), found
    return found.reason


# This machine.


def test_a_taken_port_is_named_with_who_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        monkeypatch.setenv("HTTP_PORT", str(port))
        [said] = wrong(machine.check_ports)

    assert said.startswith(f"Port {port} is taken by another program, on 127.0.0.1. Stop that")
    assert f"process {os.getpid()} of" in said
    assert fine(machine.check_ports) == f"{port} is free"


@pytest.mark.parametrize("name", ["BIND", "METRICS_BIND"])
def test_another_address_that_is_taken_is_named(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv("HTTP_PORT", str(free_port()))
    monkeypatch.setenv("BIND", f"127.0.0.1:{free_port()}")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        monkeypatch.setenv(name, address)
        [said] = wrong(machine.check_ports)

    assert said.startswith(f"{name}: can't listen on {address}: Address already in use.")
    assert f"Choose another address for {name}. It is " in said


def test_a_port_that_only_root_may_open_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("ops.ports._bound", forbidden)
    monkeypatch.setattr("ops.local.front.hosts", lambda _: ["127.0.0.1"])
    monkeypatch.setenv("HTTP_PORT", "80")

    [said] = wrong(machine.check_ports)
    assert said.startswith("Port 80 is reserved for root. Choose one above 1023: HTTP_PORT=8080")


@pytest.mark.parametrize(
    ("free", "state"), [(0, "full: 0 MiB"), (99 << 20, "full: 99 MiB"), (1 << 29, "nearly full")]
)
def test_a_disk_without_room_is_named(
    monkeypatch: pytest.MonkeyPatch, free: int, state: str
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=free))

    for said in wrong(machine.check_disk):
        assert f"is {state}" in said
        assert "Make room: `du -xsh " in said


@pytest.mark.parametrize(("seconds", "where"), [(3600, "ahead of"), (-3600, "behind")])
def test_a_clock_that_differs_from_the_file_system_is_named(
    monkeypatch: pytest.MonkeyPatch, seconds: int, where: str
) -> None:
    monkeypatch.setattr(machine, "time", SimpleNamespace(time=lambda: time.time() + seconds))

    [said] = wrong(machine.check_clock)
    assert f"The clock of this machine is 3600 s {where} that of its file system." in said
    assert "`timedatectl set-ntp true`" in said


def test_a_file_from_the_future_shows_that_the_clock_was_set_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "ROOT", tmp_path)
    (tmp_path / "later").touch()
    os.utime(tmp_path / "later", (0, time.time() + 7200))

    [said] = wrong(machine.check_clock)
    assert said.startswith(f"{tmp_path / 'later'} is from the future, by 7")


def test_too_few_open_files_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("resource.getrlimit", lambda _: (256, 256))

    [said] = wrong(machine.check_open_files)
    assert "the limit is 256: raise the limit (`ulimit -Hn`" in said


def test_a_umask_that_takes_files_from_their_owner_is_named() -> None:
    before = os.umask(0o277)
    try:
        [said] = wrong(machine.check_umask)
    finally:
        os.umask(before)

    assert said.startswith("The umask is 0277: you may not use the files that you create.")


def test_a_python_that_is_too_new_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bootstrap, "NEWEST", (3, 10))

    [said] = wrong(machine.check_python)
    assert "is newer than 3.10, the newest that is tested." in said


# This folder.


def test_every_wrong_setting_has_its_line(env_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    env_file.write_text("LOG_LEVEL=loud\nAPP_ENV=production\nSECURE_API_KEY=s3cret\n")
    monkeypatch.setenv("HTTP_PORT", "x")

    said = wrong(project.check_settings)
    assert [one.partition(":")[0] for one in said] == [
        "HTTP_PORT",
        "LOG_LEVEL",
        "DATABASE_URL",
        "SECURE_API_KEY",
    ]
    assert "s3cret" not in str(said)


def test_what_needs_the_settings_refers_to_them(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HTTP_PORT", "x")

    assert doctor.examine(Subject()) == 1
    printed = capsys.readouterr().out
    assert printed.count("WRONG") == 1
    assert "not checked: the settings are wrong" in printed
    assert "Wrong: 1. Correct what is said above, then run this again" in printed


def test_secrets_that_others_may_read_are_named(env_file: Path) -> None:
    env_file.write_text("SECURE_API_KEY=s3cret\nLOG_LEVEL=INFO\n")
    env_file.chmod(0o640)

    [said] = wrong(project.check_env_file)
    assert said.startswith(f"{env_file} holds secrets (SECURE_API_KEY), and other users")
    assert said.endswith(f"its mode is 0640. Run `chmod 600 {env_file}`.")

    env_file.chmod(0o600)
    assert fine(project.check_env_file) == "2 values, readable"


def test_a_misspelled_name_is_named(env_file: Path) -> None:
    env_file.write_text("HTTP_PROT=81\nANOTHER_PROGRAMS=1\n")

    [said] = wrong(project.check_env_file)
    assert said.startswith(f"HTTP_PROT in {env_file} is not a setting, and has no effect.")
    assert said.endswith("Did you mean HTTP_PORT?")


def test_a_file_env_that_cannot_be_read_is_named(
    env_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    env_file.write_text("HTTP_PORT=81\n")
    read = Path.read_text

    def forbidden(path: Path, *arguments: str, **options: str) -> str:
        if path == env_file:
            raise PermissionError(13, "Permission denied", str(path))
        return read(path, *arguments, **options)

    # Root may read any file.
    monkeypatch.setattr(Path, "read_text", forbidden)

    [said] = wrong(project.check_env_file)
    assert said.startswith(f"{env_file} can't be read: it is yours: check its permissions")


def test_lines_of_the_file_env_that_say_nothing_are_named(env_file: Path) -> None:
    env_file.write_text("no value =\nHTTP_PORT=81\n= no name\n")

    assert wrong(project.check_env_file) == [
        f"{env_file}, line 1: write NAME=value.",
        f"{env_file}, line 3: write NAME=value.",
    ]


def test_a_short_key_of_an_open_address_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECURE_API_KEY", "s3cret")
    assert fine(project.check_keys) == "there is one"

    monkeypatch.setenv("HTTP_HOST", "0.0.0.0")  # That is the test.
    [said] = wrong(project.check_keys)
    assert said.startswith(
        "SECURE_API_KEY has 6 characters, and HTTP_HOST=0.0.0.0 is open to other machines"
    )
    assert "`openssl rand -hex 24`" in said


def test_a_password_that_the_containers_lack_is_named(env_file: Path) -> None:
    env_file.write_text(PASSWORDS.replace("API_PASSWORD=", "OTHER="))

    [said] = wrong(project.check_keys)
    assert said.startswith(f"{env_file} has no API_PASSWORD, without which the containers don't")


def test_stale_packages_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for folder, lock in ((".venv", "development.txt"), (".tools", "tools.txt")):
        (tmp_path / folder).mkdir()
        shutil.copy(ROOT / "requirements" / lock, tmp_path / folder / lock)
    shutil.copytree(ROOT / "requirements", tmp_path / "requirements")
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    monkeypatch.setattr(project, "ROOT", tmp_path)
    assert fine(project.check_environments)

    (tmp_path / ".venv" / "development.txt").write_text("left==1\n")
    declared = (tmp_path / "pyproject.toml").read_text()
    (tmp_path / "pyproject.toml").write_text(
        declared.replace("dependencies = [\n", 'dependencies = [\n    "new_one>=1",\n', 1)
    )
    stale, *missing = wrong(project.check_environments)

    assert stale.startswith(".venv is not what requirements/development.txt says. Run `")
    assert [one.partition(",")[0] for one in missing] == [
        "requirements/production.txt lacks new-one",
        "requirements/development.txt lacks new-one",
    ]


def test_files_that_containers_cannot_use_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("nginx", "postgres"):
        shutil.copytree(ROOT / name, tmp_path / name)
    monkeypatch.setattr(project, "ROOT", tmp_path)
    assert fine(project.check_files)

    (tmp_path / "postgres/roles.sh").chmod(0o644)
    (tmp_path / "nginx/start.sh").write_bytes(b"#!/bin/sh\r\n")
    program, line_ends = wrong(project.check_files)

    assert program.startswith(f"{tmp_path}/postgres/roles.sh can't be executed: its mode is 0644.")
    assert program.endswith(f"Run `chmod +x {tmp_path}/postgres/roles.sh`.")
    assert line_ends.startswith(f"{tmp_path}/nginx/start.sh has the line ends of Windows")


def test_a_state_folder_of_other_things_is_named(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "file").touch()

    [said] = wrong(project.check_folder)
    assert said.startswith(f"STATE_DIR: {tmp_path / 'state'} has other content.")


def test_what_another_user_owns_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "made-with-sudo").mkdir()
    monkeypatch.setattr(project, "ROOT", tmp_path)
    monkeypatch.setattr(os, "access", lambda path, _: Path(path).name != "made-with-sudo")

    [said] = wrong(project.check_folder)
    assert said.startswith(f"{tmp_path}/made-with-sudo can't be used: ")


# Programs.


def test_an_nginx_that_is_too_old_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", hide_nginx(tmp_path, os.environ["PATH"]))

    [said] = wrong(programs.check_nginx)
    assert "is nginx 1.16.1; nginx 1.18.0 or later is needed." in said
    assert "install or repair nginx" in said


def test_an_nginx_that_rejects_its_configuration_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = '[ "$*" = -v ] && echo nginx/1.22.1 >&2 || { echo "[emerg] no" >&2; exit 1; }'
    fake_program(tmp_path / "bin", "nginx", script)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")

    [said] = wrong(programs.check_nginx)
    assert "rejects its configuration: [emerg] no." in said


def test_the_data_of_another_major_version_are_named(tmp_path: Path) -> None:
    data = tmp_path / "state" / "postgres"
    data.mkdir(parents=True)
    (data / "PG_VERSION").write_text("17\n")

    [said] = wrong(stack.check_embedded)
    assert said.startswith(f"The data in {data} are of PostgreSQL 17, and the embedded one is 18")
    assert "backup FILE" in said


# The database.


def sql(url: str, *statements: str) -> None:
    """Run statements, each on its own."""

    async def run() -> None:
        found = create_engine(
            url, statement_timeout=0, poolclass=NullPool, isolation_level="AUTOCOMMIT"
        )
        async with found.connect() as connection:
            for statement in statements:
                await connection.execute(text(statement))

    asyncio.run(run())


@pytest.fixture
def own_database(postgres: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Name an empty database in DATABASE_URL."""
    url = postgres.replace("/postgres?", "/doctor?")
    sql(postgres, "CREATE DATABASE doctor")
    monkeypatch.setenv("DATABASE_URL", url)
    yield url
    sql(postgres, "DROP DATABASE doctor WITH (FORCE)")


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("postgresql://u:hidden@127.0.0.1:{port}/d", "no server listens at 127.0.0.1:{port}"),
        ("postgresql://u:hidden@host.invalid/d", "the host name host.invalid can't be resolved"),
        ("postgresql://u:hidden@/d?host=/nowhere", "no server listens at /nowhere/.s.PGSQL"),
    ],
)
def test_a_database_that_cannot_be_reached_is_named_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], url: str, reason: str
) -> None:
    port = free_port()
    monkeypatch.setenv("DATABASE_URL", url.format(port=port))
    monkeypatch.setenv("HTTP_PORT", str(free_port()))

    [said] = wrong(database.check_reached)
    assert said.startswith(f"DATABASE_URL: {reason.format(port=port)}")
    doctor.examine(Subject())
    printed = capsys.readouterr().out
    assert printed.count("WRONG") == 1
    assert printed.count("not checked: the database was not reached") == 4
    assert "hidden" not in printed + said


def test_a_missing_migration_is_named(own_database: str) -> None:
    [never] = wrong(database.check_migrations)
    assert "The schema of the database doctor is at nothing, and this build needs" in never

    command.upgrade(alembic_config(own_database), "head")
    assert fine(database.check_migrations).endswith("as this build needs")

    command.downgrade(alembic_config(own_database), "-1")
    [behind] = wrong(database.check_migrations)
    assert behind.endswith(" migrate`.")


def test_a_migration_that_is_not_known_is_named(own_database: str) -> None:
    command.upgrade(alembic_config(own_database), "head")
    sql(own_database, "UPDATE alembic_version SET version_num = 'feedface'")

    [said] = wrong(database.check_migrations)
    assert "is at feedface, a migration that this build does not have" in said
    assert "`git pull`" in said


def test_the_database_of_another_project_is_named(own_database: str) -> None:
    sql(own_database, "CREATE TABLE theirs ()")

    [said] = wrong(database.check_migrations)
    assert "may belong to another project: it holds table public.theirs" in said


def test_too_few_connections_are_named(
    own_database: str, postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_POOL_SIZE", "100")
    sql(postgres, "CREATE ROLE few LOGIN CONNECTION LIMIT 5")
    try:
        [server] = wrong(database.check_connections)
        monkeypatch.setenv("DATABASE_URL", own_database.replace("postgres@", "few@"))
        monkeypatch.setenv("DATABASE_POOL_SIZE", "10")
        [role] = wrong(database.check_connections)
    finally:
        sql(postgres, "DROP ROLE few")

    assert server.startswith("The service needs 128 connections: a replica opens up to 127")
    assert "The server allows 97, by max_connections." in server
    assert server.endswith("Raise max_connections at the server, or lower DATABASE_POOL_SIZE.")
    assert "The service needs 20 connections" in role
    assert "The server allows 5, by CONNECTION LIMIT of the role." in role
    # The smallest pool has 14 of the service's.
    assert role.endswith("Raise CONNECTION LIMIT of the role at the server by at least 10.")


def test_a_role_without_privileges_is_named(
    own_database: str, postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    command.upgrade(alembic_config(own_database), "head")
    sql(postgres, "CREATE ROLE reader LOGIN")
    monkeypatch.setenv("DATABASE_URL", own_database.replace("postgres@", "reader@"))
    try:
        [said] = wrong(database.check_reached)
    finally:
        sql(postgres, "DROP ROLE reader")

    assert said.startswith(
        "The database does not answer a query: permission denied for table alembic_version."
    )


def test_a_service_that_is_not_ready_says_why(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def respond(body: dict[str, object]) -> None:
        monkeypatch.setattr(
            "ops.api.Client.send",
            lambda _, request, **__: httpx.Response(503, json=body, request=request),
        )

    supervise(monkeypatch, Supervisor())
    monkeypatch.setattr("ops.local.stack.runs", lambda _: True)
    respond({"error": {"message": "The service is draining."}})
    [said] = wrong(stack.check_ready)
    respond({})
    [other] = wrong(stack.check_ready)

    assert said.startswith("http://127.0.0.1:8080/readyz responds 503: The service is draining.")
    assert "responds 503: this is not a response of the service" in other


def test_a_server_that_is_too_old_is_named(
    own_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    del own_database
    monkeypatch.setattr(database, "OLDEST_SERVER", 99)

    [said] = wrong(database.check_reached)
    assert said.startswith("The server is PostgreSQL 18, and 99 or a newer one is needed.")


def test_a_database_that_takes_no_changes_is_named(
    own_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", f"{own_database}&default_transaction_read_only=on")

    [said] = wrong(database.check_reached)
    assert said.startswith("The database doctor is read-only")
    assert "target_session_attrs=read-write" in said


def test_a_database_that_cannot_hold_every_text_is_named(
    postgres: str, own_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sql(
        postgres,
        "CREATE DATABASE latin TEMPLATE template0"
        " ENCODING 'LATIN1' LOCALE_PROVIDER libc LOCALE 'C'",
    )
    monkeypatch.setenv("DATABASE_URL", own_database.replace("/doctor?", "/latin?"))
    try:
        [said] = wrong(database.check_reached)
    finally:
        sql(postgres, "DROP DATABASE latin WITH (FORCE)")

    assert said.startswith("The encoding of the database latin is LATIN1")


@pytest.mark.parametrize(("seconds", "where"), [(3600, "ahead of"), (-3600, "behind")])
def test_a_clock_that_differs_from_the_databases_is_named(
    own_database: str, monkeypatch: pytest.MonkeyPatch, seconds: int, where: str
) -> None:
    del own_database
    assert fine(database.check_clock)
    monkeypatch.setattr(database, "time", SimpleNamespace(time=lambda: time.time() + seconds))

    [said] = wrong(database.check_clock)
    assert f"The clock of this machine is 3600 s {where} that of the database's server." in said


def test_client_programs_that_are_too_old_are_named(
    own_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    del own_database
    assert fine(database.check_clients).endswith("fit the server")
    monkeypatch.setattr(
        "ops.data.clients._installed", lambda: [SimpleNamespace(version=15, folder=Path("/"))]
    )

    [said] = wrong(database.check_clients)
    assert "and the newest pg_dump here is of version 15: install" in said


def test_nothing_is_started_to_look_at_it(tmp_path: Path) -> None:
    assert "the embedded PostgreSQL does not run" in not_checked(database.check_reached)
    assert not (tmp_path / "state").exists()


# Local processes; tests/ops/test_stack.py has a real supervisor.


class Supervisor:
    """A supervisor of two programs, and what its log says of them."""

    def __init__(self, state: str = "RUNNING", log: str = "") -> None:
        self.state, self.log = state, log

    def getAllProcessInfo(self) -> list[dict[str, str]]:  # noqa: N802  # As supervisor's.
        return [
            {"name": "nginx", "statename": "RUNNING", "description": "pid 1"},
            {"name": "api", "statename": self.state, "description": "Exited too quickly"},
        ]

    def readLog(self, _offset: int, _length: int) -> str:  # noqa: N802
        return self.log

    def getIdentification(self) -> str:  # noqa: N802
        return "http://127.0.0.1:8080"


def supervise(monkeypatch: pytest.MonkeyPatch, supervisor: Supervisor) -> None:
    monkeypatch.setattr("ops.local.processes.connect", lambda _: supervisor)


def test_a_program_that_does_not_run_is_named_with_the_end_of_its_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    supervise(monkeypatch, Supervisor("FATAL"))
    (tmp_path / "state" / "logs").mkdir(parents=True)
    (tmp_path / "state" / "logs" / "api.log").write_text("its last words\n")

    [said] = wrong(stack.check_programs)
    assert said.startswith("`api` does not run: supervisor says FATAL (Exited too quickly).")
    assert "    its last words" in said


def test_a_program_that_has_ended_lately_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    now = datetime.now()  # As supervisor.
    ended = "{:%Y-%m-%d %H:%M:%S},000 WARN exited: api (terminated by SIGKILL; not expected)\n"
    start = f"{now:%Y-%m-%d %H:%M:%S},000 INFO supervisord started with pid 1\n"
    lately, before = ended.format(now), ended.format(now - timedelta(hours=1))
    supervise(monkeypatch, Supervisor(log=start + before + lately + lately))

    [said] = wrong(stack.check_programs)
    assert said.startswith(f"`api` runs, but it ended at {now:%Y-%m-%d %H:%M:%S} (terminated by")
    assert "Times within the last 10 minutes: 2." in said

    # Under the supervisor before this one.
    supervise(monkeypatch, Supervisor(log=lately + start + before))
    assert fine(stack.check_programs) == "nginx, api run as local processes"


def test_a_stack_elsewhere_than_the_settings_say_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    supervise(monkeypatch, Supervisor())
    monkeypatch.setenv("HTTP_PORT", "8099")
    monkeypatch.setattr("ops.local.stack.runs", lambda _: True)

    [said] = wrong(machine.check_ports)
    assert "and HTTP_HOST and HTTP_PORT say http://127.0.0.1:8099." in said


def test_a_command_that_holds_the_stack_is_named(tmp_path: Path) -> None:
    with local_stack.alone(local_stack.state_of(load_settings())):
        [said] = wrong(stack.check_commands)

    assert f"it holds {tmp_path / 'state' / 'stack.lock'}" in said
    assert fine(stack.check_commands) == "none is changing the stack"


# Containers.

FACTS = {
    "name": "flusk",
    "version": 18,
    "read_only": False,
    "encoding": "UTF8",
    "limits": {"max_connections": 30, "role": -1, "database": -1},
    "reserved": 3,
    "migrated": False,
    "objects": [],
}


@pytest.fixture
def docker(
    env_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str], None]:
    """Return what puts a script in the place of docker, in a project that containers run of."""
    env_file.write_text(PASSWORDS)
    monkeypatch.setattr(engine, "is_installed", lambda: True)
    monkeypatch.setattr(engine, "ASK_SECONDS", 5)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    return partial(fake_program, tmp_path / "bin", "docker")


def running(*states: dict[str, object], restarts: int = 0, started: str = "2026-01-01") -> str:
    """Return the script of an engine in which these containers run."""
    listed = "\n".join(json.dumps(state) for state in states)
    facts = json.dumps(FACTS)
    at = f"{started}T00:00:00.123456789Z"
    inspected = json.dumps([{"RestartCount": restarts, "State": {"StartedAt": at}}])
    return f"""case "$*" in
"ps "*) printf '%s\\t%s\\n' '{compose.project()}' '{ROOT}';;
"compose version"*) echo 2.30.0;;
"version"*) echo 28.1;;
*"exec"*) echo '{facts}';;
"compose"*) cat <<'END'
{listed}
END
;;
"inspect"*) echo '{inspected}';;
esac"""


def container(
    service: str, health: str, status: str = "Up 2 minutes", port: int = 0
) -> dict[str, object]:
    """Return a container as compose lists it."""
    return {
        "Name": f"x-{service}-1",
        "Service": service,
        "State": "running",
        "Status": status,
        "Health": health,
        "ExitCode": 0,
        "Publishers": [{"PublishedPort": port}] if port else None,
    }


def test_containers_that_are_not_well_are_named(docker: Callable[[str], None]) -> None:
    docker(running(container("api", "unhealthy", "Restarting (1)"), container("nginx", "healthy")))

    [said] = wrong(stack.check_programs)
    assert said.startswith("The container x-api-1 is not well: Restarting (1).")
    assert "`docker logs --tail 20 x-api-1`" in said
    assert fine(programs.check_docker) == "engine 28.1, compose 2.30.0"


def test_containers_that_were_restarted_are_named(docker: Callable[[str], None]) -> None:
    docker(running(container("api", "healthy"), restarts=3, started="9999-12-31"))
    [said] = wrong(stack.check_programs)
    assert said.startswith("The container x-api-1 was started again at 00:00:00 UTC")
    assert "Times since it was created: 3." in said

    # Long ago.
    docker(running(container("api", "healthy"), restarts=3))
    assert fine(stack.check_programs) == "api run in containers"


def test_the_database_of_the_containers_has_connections_for_each_replica(
    docker: Callable[[str], None],
) -> None:
    docker(running(container("api", "healthy"), container("api", "healthy")))

    assert fine(database.check_reached).startswith("PostgreSQL 18, database flusk")
    [said] = wrong(database.check_connections)
    assert said.startswith("The service needs 39 connections: 2 replicas open 19 each, up to 38")
    assert "The server allows 27, by max_connections." in said


def test_a_port_that_the_containers_do_not_have_is_named(
    docker: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    docker(running(container("nginx", "healthy", port=8080), container("api", "healthy")))
    assert fine(machine.check_ports) == "the stack listens at port 8080"

    monkeypatch.setenv("HTTP_PORT", "8099")
    [said] = wrong(machine.check_ports)
    assert said.startswith("The stack listens at port 8080, and HTTP_HOST and HTTP_PORT say port")


def test_an_engine_that_this_user_may_not_use_is_named(docker: Callable[[str], None]) -> None:
    docker("echo 'permission denied while trying to connect at unix:///run/d.sock' >&2; exit 1")

    [said] = wrong(programs.check_docker)
    assert said.startswith("You may not use the Docker engine (permission denied")


def test_an_engine_that_is_stopped_is_named_if_the_stack_was_there(
    env_file: Path, docker: Callable[[str], None]
) -> None:
    docker(STOPPED)

    [said] = wrong(programs.check_docker)
    assert said.startswith("The Docker engine does not run: start it")

    env_file.unlink()
    assert fine(programs.check_docker).startswith("no engine runs")


def test_a_compose_that_is_too_old_is_named(docker: Callable[[str], None]) -> None:
    docker('[ "$1" != compose ] || echo 2.19.1')

    [said] = wrong(programs.check_docker)
    assert "`docker compose` is 2.19.1: install Docker Compose 2.20 or newer" in said


# The checks themselves.


def test_a_check_that_fails_is_a_finding_without_a_secret() -> None:
    def check(_subject: Subject) -> Outcome:
        raise KeyError("s3cret")

    [said] = wrong(check)
    assert said.startswith("This check failed: KeyError in test_doctor.py, line ")
    assert "s3cret" not in said


def test_a_check_without_a_result_is_a_finding() -> None:
    hangs = threading.Event()

    found = checking.run(lambda: str(hangs.wait()), seconds=0.01)
    hangs.set()
    assert isinstance(found, list)
    assert found[0].problem == "This check has no result after 0.01 s."


def test_a_failure_of_the_system_is_a_finding() -> None:
    def check(_subject: Subject) -> Outcome:
        raise OSError(5, "Input/output error", "/lost")

    assert wrong(check) == ["The system reports: Input/output error: /lost."]


def test_one_cause_is_told_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    cause = Finding("It is broken.", "Mend `it or them`.")
    monkeypatch.setattr(doctor, "CHECKS", dict.fromkeys(("one", "two"), lambda _: [cause]))

    assert doctor.examine(Subject()) == 1
    printed = capsys.readouterr().out
    assert printed.count("It is broken.") == 1
    assert "not checked: for a reason above" in printed


# The command.


def lines(done: subprocess.CompletedProcess[str]) -> dict[str, str]:
    """Return the mark of each check, by its name."""
    assert "Traceback" not in done.stdout + done.stderr
    found = {}
    for line in done.stdout.splitlines():
        mark, name = line[:7].strip(), line[7 : 7 + doctor.WIDTH].strip()
        if mark in {"ok", "-", "WRONG"}:
            found[name] = mark
    return found


def test_a_project_that_was_never_started_is_fine_and_stays_as_it_is(project: Project) -> None:
    fake_program(project.directory.parent / "bin", "docker", STOPPED)
    project.environment["PATH"] = f"{project.directory.parent / 'bin'}:{os.environ['PATH']}"

    def files() -> set[Path]:
        # Python may compile its modules.
        return {path for path in project.directory.rglob("*") if "__pycache__" not in path.parts}

    before = files()
    done = project.just("doctor")

    assert done.returncode == 0, done.stdout + done.stderr
    assert "WRONG" not in done.stdout
    assert set(lines(done)) == set(doctor.CHECKS)
    assert done.stdout.endswith("Nothing is wrong.\n")
    assert files() == before


def test_it_works_with_a_database_url_alone(project: Project, database_url: str) -> None:
    done = project.just("doctor", DATABASE_URL=database_url)

    assert lines(done)["database"] == lines(done)["its clock"] == "ok"
    assert lines(done)["connections"] == "ok"


def test_without_packages_it_says_how_to_install_them(tmp_path: Path) -> None:
    copy = copy_project(tmp_path / "project")
    (copy.directory / ".venv").unlink()
    done = copy.just("doctor")

    assert done.returncode == 1
    assert "Run `./just setup`, then `./just doctor` again." in done.stderr
    assert not (copy.directory / ".venv").exists()
