"""A database server that ends, freezes, has no connection left, or a full disk."""

import asyncio
import os
import resource
import signal
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.databases.servers import give
from tests.factories import item
from tests.faults.conftest import Target, check_refusal, requests

PIDS = "SELECT pid FROM pg_stat_activity WHERE usename = 'faults'"


async def healthy(target: Target) -> tuple[int, int]:
    """Return the statuses of both health checks; the second is cached for a second."""
    async with target.client() as client:
        alive, ready = [await client.get(path) for path in ("/livez", "/readyz")]
    return alive.status_code, ready.status_code


@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGQUIT, signal.SIGKILL])
async def test_without_a_server_requests_are_503_and_after_its_start_the_first_succeeds(
    target: Target, by: signal.Signals
) -> None:
    async with target.client() as client:
        before = await client.post("/item", json=item())
        await asyncio.to_thread(target.database.stop, by)
        try:
            during = [await one for one in requests(client)]
        finally:
            await asyncio.to_thread(target.database.start)
        after = await client.post("/item", json=item())

    for response in during:
        check_refusal(response)
    assert (before.status_code, after.status_code) == (201, 201)
    assert await target.sql("SELECT count(*) FROM item") == "2"


async def test_a_session_that_is_killed_ends_all_and_the_service_recovers(target: Target) -> None:
    """PostgreSQL restarts all its processes then, as after the kernel's out-of-memory killer."""
    async with target.client() as client:
        before = await client.post("/item", json=item())
        pid = (await target.sql(PIDS)).split()[0]
        os.kill(int(pid), signal.SIGKILL)
        await target.wait_for(f"SELECT {pid} <> ALL (ARRAY({PIDS}))")
        after = await client.get(before.headers["Location"])

    assert after.json() == before.json()


async def test_a_server_that_freezes_costs_each_request_a_deadline_and_no_request_after_it(
    target: Target,
) -> None:
    async with target.client() as client:
        await client.post("/item", json=item())
        with target.database.frozen():
            during = await client.post("/item", json=item())
            alive, ready = await healthy(target)

    assert during.status_code == 504
    assert during.json()["error"]["type"] == "DeadlineExceeded"
    assert (alive, ready) == (200, 503)


async def test_without_a_connection_left_requests_are_refused_in_time_and_health_is_answered(
    target: Target,
) -> None:
    # Health checks have a connection of their own, which is there before the others are taken.
    await healthy(target)
    async with target.client() as client, target.locked("item"):
        searches = [client.get(f"/item?q=search{number}") for number in range(20)]
        others = [client.get("/item"), client.post("/item", json=item())]
        tasks = [asyncio.create_task(one) for one in searches + others]
        alive, ready = await healthy(target)
        responses = await asyncio.gather(*tasks)

    assert (alive, ready) == (200, 200)
    assert {response.status_code for response in responses} == {503, 504}
    refused = [response for response in responses[:20] if response.status_code == 503]
    assert refused
    assert {response.json()["error"]["type"] for response in refused} == {"Unavailable"}


@pytest.fixture
def small_disk(started: Target, tmp_path: Path) -> Iterator[Path]:
    """Move the table to a file system of a few megabytes."""
    server = started.database.server
    folder = server.directory.parent / "small"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", folder],
        capture_output=True,
        text=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip(f"no file system can be mounted: {mounted.stderr.strip()}")
    try:
        give(folder)
        server.sql(f"CREATE TABLESPACE small LOCATION '{folder}'")
        server.sql("ALTER TABLE item SET TABLESPACE small")
        server.sql("ALTER ROLE faults SET temp_tablespaces = small")
        yield folder
        server.sql("ALTER ROLE faults RESET temp_tablespaces")
        server.sql("ALTER TABLE item SET TABLESPACE pg_default")
        server.sql("CHECKPOINT")
        server.sql("DROP TABLESPACE small")
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def fill(file: Path) -> None:
    """Let a file take all the space that there is."""
    with file.open("wb", buffering=0) as opened, suppress(OSError):
        while True:
            opened.write(bytes(resource.getpagesize()))


async def test_on_a_full_disk_writes_are_503_and_reads_go_on_and_with_room_writes_succeed(
    target: Target, small_disk: Path
) -> None:
    filler = small_disk / "filler"
    async with target.client() as client:
        first = await client.post("/item", json=item())
        fill(filler)
        # Until the pages that the table has are full.
        stored = 1
        while (refused := await client.post("/item", json=item())).status_code == 201:
            stored += 1
        lines = b'{"name": "Ada", "email": "ada@example.org"}\n'
        headers = {"Content-Type": "application/x-ndjson"}
        imported = await client.post("/item", content=lines, headers=headers)
        read = await client.get(first.headers["Location"])
        filler.unlink()
        after = await client.post("/item", json=item())

    check_refusal(refused)
    check_refusal(imported)
    assert (read.json(), after.status_code) == (first.json(), 201)
    assert await target.sql("SELECT count(*) FROM item") == str(stored + 1)
