"""A primary that is gone under load, and a standby that is promoted: both are real servers."""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.client import Client
from tests.conftest import migrate
from tests.databases.conftest import Open
from tests.databases.servers import SECONDS, Server, make_server, run, wheel
from tests.factories import item

WRITERS = 8
ENOUGH = 100
SYNCHRONOUS = "SELECT count(*) = 1 FROM pg_stat_replication WHERE sync_state = 'sync'"


@pytest.fixture
def primary(postgres: str) -> Iterator[Server]:
    """Return a migrated primary that the test may stop."""
    del postgres  # It has made the user to run as.
    with TemporaryDirectory(prefix="flusk-primary-") as directory:
        primary = make_server(Path(directory), wheel())
        with primary.running({}):
            migrate(primary.url())
            yield primary


@pytest.fixture
def standby(primary: Server) -> Iterator[Server]:
    """Return a standby that has each commit before the primary's client is told of it."""
    with TemporaryDirectory(prefix="flusk-standby-") as directory:
        standby = primary.copy(Path(directory))
        with standby.running({}):
            primary.sql("ALTER SYSTEM SET synchronous_standby_names = '*'")
            primary.sql("SELECT pg_reload_conf()")
            primary.wait_for(SYNCHRONOUS)
            yield standby


class Writers:
    """Clients that create records all the time, and know which were acknowledged."""

    def __init__(self, client: Client) -> None:
        self.acknowledged: list[str] = []
        self.refused: set[int] = set()
        self._client = client
        self._number = 0

    async def write(self) -> None:
        while True:
            self._number += 1
            email = f"{self._number}@example.org"
            response = await self._client.post("/item", json=item(email=email))
            if response.status_code == 201:
                self.acknowledged.append(email)
            else:
                self.refused.add(response.status_code)
                await asyncio.sleep(0.01)  # As a client that tries again.

    async def until_acknowledged(self, more: int) -> None:
        """Return once as many more writes were acknowledged."""
        wanted = len(self.acknowledged) + more
        async with asyncio.timeout(SECONDS):
            while len(self.acknowledged) < wanted:  # noqa: ASYNC110  # Polling: there is no event.
                await asyncio.sleep(0.01)


async def test_writes_go_on_at_the_new_primary_and_none_that_was_acknowledged_is_lost(
    primary: Server, standby: Server, open_on: Open, capsys: pytest.CaptureFixture[str]
) -> None:
    hosts = f"127.0.0.1:{primary.port},127.0.0.1:{standby.port}"
    url = f"postgresql://postgres@{hosts}/postgres?target_session_attrs=read-write"
    async with open_on(url) as client, asyncio.TaskGroup() as tasks:
        writers = Writers(client)
        writing = [tasks.create_task(writers.write()) for _ in range(WRITERS)]
        await writers.until_acknowledged(ENOUGH)
        stop = [primary.programs / "pg_ctl", "stop", "-D", primary.directory, "-m", "immediate"]
        await asyncio.to_thread(run, *stop)
        before = len(writers.acknowledged)
        await asyncio.to_thread(standby.sql, "SELECT pg_promote()")
        promoted = time.monotonic()
        await writers.until_acknowledged(1)
        seconds = time.monotonic() - promoted
        await writers.until_acknowledged(ENOUGH)
        ready = (await client.get("/readyz")).status_code
        for task in writing:
            task.cancel()

    stored = standby.sql("SELECT email FROM item").split("\n")
    assert ready == 200
    assert before >= ENOUGH
    assert set(writers.acknowledged) <= set(stored)
    assert len(stored) == len(set(stored))
    assert writers.refused <= {503}
    with capsys.disabled():
        # The figure of this machine, which is no condition.
        print(f"\nwrites were back {seconds:.2f} s after the promotion")  # noqa: T201
