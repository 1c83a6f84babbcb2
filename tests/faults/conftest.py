"""A service as a process, and a PostgreSQL of its own behind a proxy: each may fail."""

import asyncio
import signal
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import uuid4

import httpx
import psutil
import pytest
from sqlalchemy import text
from sqlalchemy.pool import NullPool

from service.common.database.engine import create_engine
from tests.conftest import migrate
from tests.databases.servers import Server, make_server, wheel
from tests.factories import item
from tests.faults.proxy import Proxy, proxy_to
from tests.ports import free_port
from tests.socket.conftest import KEY, Service, running
from tests.socket.test_metrics import Measured
from tests.waiting import wait_until

AT_REST = """
SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE usename = 'faults' AND state <> 'idle')
AND NOT EXISTS (SELECT FROM pg_locks JOIN pg_stat_activity USING (pid) WHERE usename = 'faults')
"""
# Of a service at rest.
NONE = ("http_server_active_requests", "http_server_connections", "pending_requests", "state=used")


@dataclass
class Database:
    """A server that can be stopped and started."""

    server: Server
    _running: ExitStack = field(default_factory=ExitStack)

    def start(self) -> None:
        """Start it, and wait until it accepts connections."""
        self._running.enter_context(self.server.running({}))

    @contextmanager
    def frozen(self) -> Iterator[list[psutil.Process]]:
        """Let it do nothing for a time: its connections stay open.

        Return its processes, the first of which is the parent of the others.
        """
        file = self.server.directory / "postmaster.pid"
        parent = psutil.Process(int(file.read_text().split()[0]))
        # First, so that it starts no others.
        parent.suspend()
        processes = [parent, *parent.children()]
        try:
            send(processes, signal.SIGSTOP)
            yield processes
        finally:
            send(processes, signal.SIGCONT)

    def stop(self, by: signal.Signals) -> None:
        """Send its first process a signal, and wait until all have ended."""
        with self.frozen() as processes:
            processes[0].send_signal(by)
        psutil.wait_procs(processes)
        self._running.close()


@dataclass
class Target:
    """What is hit by faults."""

    database: Database
    proxy: Proxy
    measured: Measured
    # The file with the seconds by which the clock of the service is off.
    clock: Path
    tasks: float = 0

    @property
    def service(self) -> Service:
        return self.measured.service

    def client(self) -> httpx.AsyncClient:
        """Return a client with the key."""
        headers = {"X-API-Key": KEY}
        return httpx.AsyncClient(base_url=self.service.url, headers=headers, timeout=30)

    def shift_clock(self, seconds: float) -> None:
        """Have the clock of the service be off by so many seconds."""
        # Not in place: the service would fail if it read an empty file.
        new = self.clock.with_suffix(".new")
        new.write_text(str(seconds))
        new.replace(self.clock)

    async def sql(self, statement: str) -> str:
        """Return what a statement returns at the server itself."""
        return await asyncio.to_thread(self.database.server.sql, statement)

    async def wait_for(self, condition: str) -> None:
        """Return once a condition is true at the server."""
        await asyncio.to_thread(self.database.server.wait_for, condition)

    async def shows(self, metric: str, value: float) -> None:
        """Return once a metric has a value."""
        await asyncio.to_thread(wait_until, lambda: self.measured.samples()[metric] == value)

    @asynccontextmanager
    async def locked(self, table: str) -> AsyncIterator[None]:
        """Let no statement of others read or write a table."""
        engine = create_engine(self.database.server.url(), statement_timeout=0, poolclass=NullPool)
        async with engine.begin() as connection:
            await connection.execute(text(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE"))
            yield
        await engine.dispose()

    async def is_idle_at_the_server(self) -> None:
        """Wait until the service has neither a transaction nor a lock in the database."""
        await self.wait_for(AT_REST)

    async def recovers(self) -> None:
        """Wait until the fault has left nothing behind, and have each kind of request succeed.

        It leaves no request, connection or task in the service, no transaction and no lock in the
        database.
        """
        await self.is_idle_at_the_server()
        await asyncio.to_thread(
            wait_until,
            lambda: not self.left_behind(),
            lambda: f"not at rest: {self.left_behind()}",
        )
        async with self.client() as client:
            created = await client.post("/item", json=item())
            statuses = [(await one).status_code for one in requests(client)]
        assert (created.status_code, statuses) == (201, [404, 200, 200, 200, 201, 201])

    def left_behind(self) -> dict[str, float]:
        """Return the samples that are not those of a service at rest."""
        samples = self.measured.samples()
        left = {
            name: value
            for name, value in samples.items()
            if value and any(one in name for one in NONE)
        }
        if samples["test_tasks{}"] > self.tasks:
            left |= {"test_tasks{}": samples["test_tasks{}"]}
        return left


def send(processes: list[psutil.Process], number: signal.Signals) -> None:
    """Send a signal to each process that has not ended meanwhile."""
    for one in processes:
        with suppress(psutil.NoSuchProcess):
            one.send_signal(number)


def check_refusal(response: httpx.Response) -> None:
    """Check an error after which a client may try again."""
    assert response.status_code == 503, response.text
    assert response.json()["error"]["type"] == "DatabaseError"
    assert response.headers["Retry-After"] == "1"


def requests(client: httpx.AsyncClient) -> list[Coroutine[None, None, httpx.Response]]:
    """Return a request of each kind of work; the first is for a record that does not exist."""
    return [
        client.get("/item/0"),
        client.get("/item"),
        client.get("/item?q=ect"),
        client.get("/item", headers={"Accept": "text/csv"}),
        client.post("/item", json=item()),
        client.post("/item", json=item(), headers={"Idempotency-Key": uuid4().hex}),
    ]


@pytest.fixture(scope="package")
def database(postgres: str) -> Iterator[Database]:
    """Return a migrated server that runs, and runs again after each test."""
    del postgres  # It has made the user to run as.
    with TemporaryDirectory(prefix="flusk-faults-") as directory:
        database = Database(make_server(Path(directory), wheel()))
        database.start()
        database.server.sql("CREATE ROLE faults LOGIN SUPERUSER")
        migrate(database.server.url())
        yield database
        database.stop(signal.SIGQUIT)


@pytest.fixture(scope="package")
async def started(
    tmp_path_factory: pytest.TempPathFactory, database: Database
) -> AsyncIterator[Target]:
    """Return a running service, whose connections to the database pass the proxy."""
    directory = tmp_path_factory.mktemp("faults")
    clock = directory / "clock"
    clock.write_text("0")
    bind = f"127.0.0.1:{free_port()}"
    async with proxy_to(database.server.port) as (proxy, port):
        settings = {
            "DATABASE_STATEMENT_TIMEOUT": "1",
            "METRICS_BIND": bind,
            "CLOCK": str(clock),
        }
        url = f"postgresql://faults@127.0.0.1:{port}/postgres?sslmode=disable&connect_timeout=2"
        with running(directory, url, ("-m", "tests.faults.served"), **settings) as service:
            target = Target(database, proxy, Measured(service, f"http://{bind}/metrics"), clock)
            await target.shows("http_server_connections{state=served}", 0)
            target.tasks = target.measured.samples()["test_tasks{}"]
            yield target
            assert "Traceback" not in service.log.read_text()


@pytest.fixture
async def target(started: Target) -> AsyncIterator[Target]:
    """Return a service with empty tables, which must recover from its test."""
    await started.sql("TRUNCATE item, idempotencykey RESTART IDENTITY")
    yield started
    await started.recovers()
