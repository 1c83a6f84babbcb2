"""Migrations, service, backup and restore on Debian's PostgreSQL 15."""

import asyncio
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from quart import Quart

from migrations import __main__ as migrations
from ops.data import backup
from service.settings import Settings
from tests.app import create_app
from tests.blueprints.aside import Aside
from tests.conftest import create_tables
from tests.migrations.conftest import connect
from tests.migrations.test_migrations import alembic, migrated, tables

PROGRAMS = Path("/usr/lib/postgresql/15/bin")
# PostgreSQL refuses to run as root; Debian's package makes this user.
USER = "postgres" if os.getuid() == 0 else None
CSV = {"Content-Type": "text/csv"}

pytestmark = pytest.mark.skipif(
    not (PROGRAMS / "initdb").exists(), reason="PostgreSQL 15 (postgresql-15) is not installed"
)


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """Return a format of URLs of a server that is gone after the tests."""
    directory = Path(tempfile.mkdtemp(prefix="flusk-15-"))
    data = directory / "data"
    if USER is not None:
        shutil.chown(directory, USER)

    def run(program: str, *options: str) -> None:
        command = [str(PROGRAMS / program), f"--pgdata={data}", *options]
        subprocess.run(command, user=USER, cwd=directory, check=True, stdout=subprocess.DEVNULL)

    try:
        run(
            "initdb",
            "--auth=trust",
            "--username=postgres",
            "--no-sync",
            "--encoding=UTF8",
            "--locale=C.UTF-8",
        )
        options = f"-c listen_addresses= -c fsync=off -k {directory}"
        run("pg_ctl", "--silent", "--wait", f"--log={directory / 'log'}", f"-o {options}", "start")
        yield f"postgresql://postgres@/{{}}?host={quote(str(directory))}"
    finally:
        if (data / "postmaster.pid").exists():
            run("pg_ctl", "--silent", "--wait", "--mode=immediate", "stop")
        shutil.rmtree(directory)


async def create(url: str, name: str) -> None:
    async with connect(url) as connection:
        await connection.execute(f"CREATE DATABASE {name}")


async def use(app: Quart) -> list[int]:
    """Use what depends on the server, and return the statuses."""
    statuses = []
    async with app.test_app():
        client = app.test_client()

        async def ask(method: str, path: str, **options: object) -> str:
            response = await client.open(path, method=method, **options)  # type: ignore[arg-type]
            statuses.append(response.status_code)
            return str(await response.get_data(as_text=True))

        await ask("GET", "/readyz")
        await ask("POST", "/item", json={"name": "ÖSTERREICH", "email": "o@example.org"})
        await ask("POST", "/item", json={"name": "Again", "email": "o@example.org"})
        keyed = {"Idempotency-Key": "k"}
        for _ in range(2):
            await ask("POST", "/item", json={"name": "Key", "email": "k@b.co"}, headers=keyed)
        await ask("POST", "/item", data="name,email\nAda,ada@b.co\nBob,bob@b.co\n", headers=CSV)
        await ask("POST", "/item", data="name,email\nEve,eve@b.co\nAda,ada@b.co\n", headers=CSV)
        await ask("PUT", "/item/1", json={"name": "Österreich"})
        assert "o@example.org" in await ask("GET", "/item?q=%C3%B6STERR")
        assert "bob@b.co" in await ask("GET", "/item?sort=-created_at,name&only=email")
        exported = await ask("GET", "/item", headers={"Accept": "text/csv"})
        assert len(exported.splitlines()) == 5
        await ask("DELETE", "/item/1")
    return statuses


async def test_migrations_and_service_work(server: str) -> None:
    await create(server.format("postgres"), "used")
    url = server.format("used")
    # There, compared with the models, back, and there again.
    await alembic(migrations.check, url)
    await create_tables(url, Aside.metadata)

    assert await use(create_app(Settings(database_url=url))) == [
        *(200, 201, 409, 201, 201, 201, 422, 200, 200, 200, 200, 200)
    ]


async def test_a_backup_goes_from_the_newer_server_to_the_older_and_back(
    server: str, empty_url: str, tmp_path: Path
) -> None:
    await create(server.format("postgres"), "older")
    older, newer = server.format("older"), empty_url
    await alembic(migrations.upgrade, newer)
    async with connect(newer) as connection:
        await connection.execute("CREATE TABLE names AS SELECT 'Ada' AS name")

    def move(source: str, target: str, file: str) -> None:
        backup.backup(Settings(database_url=source), [str(tmp_path / file)])
        backup.restore(Settings(database_url=target), [str(tmp_path / file)])

    await asyncio.to_thread(move, newer, older, "newer.dump")
    async with connect(newer) as connection:
        await connection.execute("DELETE FROM names")
    await asyncio.to_thread(move, older, newer, "older.dump")

    for url in (older, newer):
        assert await tables(url) == {*migrated(), "names"}
        async with connect(url) as connection:
            assert await connection.fetchval("SELECT name FROM names") == "Ada"
