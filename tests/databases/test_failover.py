"""A failover: the database is read-only for a while, then another server accepts writes."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from service import maintenance
from service.common.database.database import Database
from service.settings import Settings
from tests.client import Client
from tests.databases.conftest import Open
from tests.databases.servers import Server
from tests.envelope import error_of
from tests.factories import item
from tests.ports import refusing_port

KEY = {"Idempotency-Key": "k"}
NDJSON = {"Content-Type": "application/x-ndjson"}
LINE = '{"name": "Ada", "email": "ada@example.org"}'
NEW = {"name": "Ada", "email": "new@example.org"}
WRITES: dict[str, tuple[str, str, dict[str, Any], int]] = {
    "create": ("POST", "/item", {"json": NEW}, 201),
    "create once": ("POST", "/item", {"json": NEW, "headers": KEY}, 201),
    "update": ("PUT", "/item/1", {"json": {"name": "Zed"}}, 200),
    "rename": ("PUT", "/item/1", {"json": NEW}, 200),
    "delete": ("DELETE", "/item/1", {}, 200),
    "import": ("POST", "/item", {"data": LINE, "headers": NDJSON}, 201),
}
END = "SELECT count(pg_terminate_backend(pid, 5000)) FROM pg_stat_activity WHERE usename = '{}'"


@contextmanager
def read_only(server: Server, role: str) -> Iterator[None]:
    """Have every connection of a role be one that can't write."""
    server.sql(f"ALTER ROLE {role} SET default_transaction_read_only = on")
    server.sql(END.format(role))
    try:
        yield
    finally:
        server.sql(f"ALTER ROLE {role} RESET default_transaction_read_only")


@pytest.mark.parametrize("write", WRITES.values(), ids=list(WRITES))
@pytest.mark.parametrize("pool_size", [1, 3])
async def test_the_first_write_at_the_new_primary_succeeds(
    server: Server, open_on: Open, write: tuple[str, str, dict[str, Any], int], pool_size: int
) -> None:
    method, path, options, status = write
    async with open_on(server.url("failing"), database_pool_size=pool_size) as client:
        await client.post("/item", json=item())
        with read_only(server, "failing"):
            for _ in range(2):
                response = await client.open(path, method=method, **options)
                await error_of(response, 503, "DatabaseError")
                assert response.headers["Retry-After"] == "1"
            await error_of(await client.get("/readyz"), 503, "DatabaseError")
            assert (await client.get("/item/1")).status_code == 200
        response = await client.open(path, method=method, **options)

        assert response.status_code == status
        assert (await client.get("/readyz")).status_code == 200


async def test_maintenance_continues_on_the_new_primary(server: Server) -> None:
    database = Database(Settings(database_url=server.url("failing")))
    await database.open()
    try:
        with read_only(server, "failing"):
            during = await maintenance.run_jobs(database, asyncio.Event())
        after = await maintenance.run_jobs(database, asyncio.Event())
    finally:
        await database.close()

    assert (during, after) == (False, True)


@pytest.fixture
def standby(server: Server) -> Iterator[Server]:
    """Return a running standby of the server."""
    with TemporaryDirectory(prefix="flusk-standby-") as directory:
        standby = server.copy(Path(directory))
        with standby.running({}):
            yield standby


async def status_of(client: Client, method: str, path: str, **options: Any) -> int:
    return (await client.open(path, method=method, **options)).status_code


async def test_a_standby_is_left_when_it_is_promoted_and_not_ready_before(
    open_on: Open, standby: Server
) -> None:
    async with open_on(standby.url()) as client:
        before = [
            await status_of(client, "GET", "/readyz"),
            await status_of(client, "POST", "/item", json=item()),
            await status_of(client, "GET", "/item"),
        ]
        standby.sql("SELECT pg_promote()")
        after = [
            await status_of(client, "POST", "/item", json=item()),
            await status_of(client, "GET", "/readyz"),
        ]

    assert (before, after) == ([503, 503, 200], [201, 200])


async def test_of_several_hosts_the_writable_one_is_found(
    server: Server, open_on: Open, standby: Server
) -> None:
    hosts = f"127.0.0.1:{refusing_port()},127.0.0.1:{standby.port},127.0.0.1:{server.port}"
    url = f"postgresql://failing@{hosts}/postgres?target_session_attrs=read-write"
    async with open_on(url) as client:
        first = await status_of(client, "POST", "/item", json=item())
        with read_only(server, "failing"):
            during = await status_of(client, "GET", "/readyz")
            standby.sql("SELECT pg_promote()")
            standby.sql("ALTER ROLE failing RESET default_transaction_read_only")
            at_the_other = await status_of(client, "POST", "/item", json=item())

    assert (first, during, at_the_other) == (201, 503, 201)
    assert standby.sql("SELECT count(*) FROM item") == "2"
