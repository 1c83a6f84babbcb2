"""`DATABASE_DIRECT_URL`: what can't use a pooler goes past it, the service does not."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from service.settings import ROOT
from tests.databases.conftest import Open
from tests.databases.servers import Server

NOWHERE = "postgresql://u:hidden@127.0.0.1:1/d"
COMMANDS: dict[str, tuple[str, ...]] = {
    "migrate": ("alembic", "upgrade", "head"),
    "maintenance": ("service.maintenance", "--once"),
    "psql": ("ops", "psql", "-XAtc", "SELECT 1"),
    "backup": ("ops", "backup", "{file}"),
    "restore": ("ops", "restore", "{file}", "--force"),
}


def run(command: tuple[str, ...], file: Path, **urls: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", *(part.format(file=file) for part in command)],
        cwd=ROOT,
        env=os.environ | urls,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def file(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a backup, made past the pooler."""
    file = tmp_path_factory.mktemp("direct") / "file.dump"
    urls = {"DATABASE_URL": NOWHERE, "DATABASE_DIRECT_URL": server.url()}
    done = run(COMMANDS["backup"], file, **urls)
    assert done.returncode == 0, done.stderr
    return file


@pytest.mark.parametrize("name", ["migrate", "maintenance", "psql", "restore"])
def test_commands_go_past_the_pooler(server: Server, file: Path, name: str) -> None:
    urls = {"DATABASE_URL": NOWHERE, "DATABASE_DIRECT_URL": server.url()}
    done = run(COMMANDS[name], file, **urls)

    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", ["migrate", "maintenance", "psql"])
def test_their_messages_name_the_setting(server: Server, tmp_path: Path, name: str) -> None:
    urls = {"DATABASE_URL": server.url(), "DATABASE_DIRECT_URL": NOWHERE}
    done = run(COMMANDS[name], tmp_path, **urls)
    said = done.stdout + done.stderr

    assert done.returncode != 0
    assert "127.0.0.1" in said
    assert "DATABASE_DIRECT_URL" in said
    assert "Traceback" not in said
    assert "hidden" not in said


async def test_the_service_uses_the_pooler(server: Server, open_on: Open) -> None:
    async with open_on(server.url(), database_direct_url=NOWHERE) as client:
        assert (await client.get("/readyz")).status_code == 200
