"""Exports over a real connection: memory, clients that leave or stop reading, failures midway."""

import re
import socket
import struct
import time
from collections.abc import AsyncIterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import psutil
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from service.common.database.work import BULK_CONNECTIONS
from tests.socket.conftest import KEY, Service, running
from tests.waiting import SECONDS, until

RECORDS = 100_000
SOME = 20_000
LINES = {"Accept": "application/x-ndjson"}
REQUEST = (
    f"GET /item HTTP/1.1\r\nHost: localhost\r\nX-API-Key: {KEY}\r\nAccept: text/csv\r\n\r\n"
).encode()
# The exports that run.
RUNNING = "FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND query LIKE '%to_char(timezone(%'"
COUNT = f"SELECT count(*) {RUNNING} AND xact_start IS NOT NULL"
MIB = 1 << 20
END = b"\r\n0\r\n\r\n"


@pytest.fixture(scope="module", autouse=True)
async def emptied(engine: AsyncEngine) -> AsyncIterator[None]:
    """Leave no records to the tests of other modules."""
    yield
    async with engine.begin() as connection:
        await connection.execute(text("TRUNCATE item RESTART IDENTITY"))


@pytest.fixture
async def many(engine: AsyncEngine) -> None:
    """Store more records than the buffers of a connection hold."""
    await store(engine, RECORDS)


@pytest.fixture
async def some(engine: AsyncEngine) -> None:
    """Store more records than those of a connection whose client takes little at a time."""
    await store(engine, SOME)


async def store(engine: AsyncEngine, records: int) -> None:
    """Store so many records, unless an earlier test has done it: no test here changes them."""
    async with engine.begin() as connection:
        if await connection.scalar(text("SELECT count(*) FROM item")) == records:
            return
        await connection.execute(text("TRUNCATE item RESTART IDENTITY"))
        await connection.execute(
            text(
                "INSERT INTO item (name, email) SELECT repeat('n', 200), n || '@example.org'"
                " FROM generate_series(1, :records) AS n"
            ),
            {"records": records},
        )


async def test_an_export_takes_no_more_memory_for_more_records(
    service: Service, many: None
) -> None:
    process = psutil.Process(service.process.pid)
    async with httpx.AsyncClient(base_url=service.url, headers={"X-API-Key": KEY}) as client:
        await client.get("/item?limit=2000", headers=LINES)
        before, most, count = process.memory_info().rss, 0, 0
        async with client.stream("GET", "/item", headers=LINES) as response:
            async for chunk in response.aiter_raw():
                count += chunk.count(b"\n")
                most = max(most, process.memory_info().rss)

    assert count == RECORDS
    assert most - before < 20 * MIB


async def test_the_query_ends_when_the_client_leaves(
    service: Service, engine: AsyncEngine, many: None
) -> None:
    with socket.create_connection(("127.0.0.1", service.port)) as connection:
        connection.sendall(REQUEST)
        assert b" 200 " in connection.recv(65536)
        await until(engine, COUNT, 1)
    await until(engine, COUNT, 0)


async def test_the_query_ends_when_the_client_leaves_before_the_answer(
    service: Service, engine: AsyncEngine, many: None
) -> None:
    # The answer waits a moment for a body that does not come.
    waiting = REQUEST.replace(b"\r\n\r\n", b"\r\nContent-Length: 2\r\n\r\n")
    waiting = waiting.replace(b"Accept", b"Content-Type: application/json\r\nAccept")
    for _ in range(BULK_CONNECTIONS):
        with socket.create_connection(("127.0.0.1", service.port)) as connection:
            connection.sendall(waiting)
            await until(engine, COUNT, 1)
        await until(engine, COUNT, 0)


async def test_a_client_that_leaves_with_a_request_behind_its_export_leaves_no_task(
    tmp_path: Path, database_url: str, engine: AsyncEngine, many: None
) -> None:
    """A task that waits for ever would delay the stop, and be in the log after it."""
    with running(tmp_path, database_url) as left:
        for number in (1, 2):
            with socket.create_connection(("127.0.0.1", left.port), timeout=SECONDS) as connection:
                connection.sendall(REQUEST + b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n")
                assert connection.recv(1).startswith(b"H")
                await until(engine, COUNT, 1)
                reset = struct.pack("ii", 1, 0)
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, reset)
            left.wait_for("status=499", number)
            await until(engine, COUNT, 0)
        left.process.terminate()
        code = left.process.wait(SECONDS)

    log = left.log.read_text()
    assert code == 0
    assert log.count("path=/item") == 2
    assert "Exception" not in log
    assert "Task was destroyed" not in log


async def test_the_query_ends_when_the_client_stops_reading(
    tmp_path: Path, database_url: str, engine: AsyncEngine, many: None
) -> None:
    with running(tmp_path, database_url, ("-m", "tests.socket.short_timeouts")) as service:
        with socket.create_connection(("127.0.0.1", service.port)) as connection:
            connection.sendall(REQUEST)
            await until(engine, COUNT, 1)
            await until(engine, COUNT, 0)
            rest = b"".join(iter(lambda: connection.recv(1 << 20), b""))
        service.wait_for("transfer ended")

        assert not rest.endswith(b"0\r\n\r\n")
        assert "Traceback" not in service.log.read_text()


async def test_a_failure_midway_is_no_whole_file(
    service: Service, engine: AsyncEngine, many: None
) -> None:
    async with httpx.AsyncClient(base_url=service.url, headers={"X-API-Key": KEY}) as client:
        async with client.stream("GET", "/item", headers=LINES) as response:
            async with engine.connect() as connection:
                await connection.execute(text(f"SELECT pg_terminate_backend(pid) {RUNNING}"))
            with pytest.raises(httpx.RemoteProtocolError):
                await response.aread()
        after = await client.get("/item?limit=1", headers=LINES)

    assert response.status_code == after.status_code == 200
    service.wait_for("export ended")
    assert "Traceback" not in service.log.read_text()


def test_an_export_outlives_the_deadline(tmp_path: Path, database_url: str, many: None) -> None:
    """A client that keeps reading gets all of it, however long that takes."""
    with (
        running(tmp_path, database_url, REQUEST_TIMEOUT="0.5") as service,
        socket.create_connection(("127.0.0.1", service.port)) as connection,
    ):
        connection.sendall(REQUEST)
        began, found = time.monotonic(), b""
        while not found.endswith(b"0\r\n\r\n"):
            found += connection.recv(1 << 20)
            if time.monotonic() < began + 2:
                time.sleep(0.1)  # A slow reader is what is tested.

    # Without the sizes of the chunks, which may be in a record.
    lines = re.sub(rb"\r\n[0-9a-f]+\r\n", b"", found)
    assert lines.count(b"@example.org") == RECORDS


def ends_whole(connection: socket.socket) -> bool:
    """Read an answer, and return whether it has the end of its message."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, MIB)
    last = b""
    while not last.endswith(END) and (data := connection.recv(MIB)):
        last = (last + data)[-len(END) :]
    return last == END


@pytest.mark.limit("TRANSFER_MILLISECONDS_FOR_OTHERS")
def test_an_export_that_is_not_read_ends_when_another_waits(
    tmp_path: Path, database_url: str, some: None
) -> None:
    program = ("-m", "tests.socket.contended", "0")
    with (
        running(tmp_path, database_url, program, TRUSTED_PROXIES="127.0.0.0/8") as contended,
        ExitStack() as stack,
    ):
        connections = []
        for number in range(BULK_CONNECTIONS):
            connection = stack.enter_context(socket.socket())
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.connect(("127.0.0.1", contended.port))
            # Each is that of another client, behind a proxy.
            forwarded = f"\r\nX-Forwarded-For: 192.0.2.{number}\r\n\r\n".encode()
            connection.sendall(REQUEST.replace(b"\r\n\r\n", forwarded))
            # The first lines are more than the buffers hold: the service waits for its client.
            connection.recv(1, socket.MSG_PEEK)
            connections.append(connection)
        headers = {"X-API-Key": KEY, **LINES}
        another = httpx.get(f"{contended.url}/item", headers=headers, timeout=30)
        whole = [ends_whole(connection) for connection in connections]

        assert another.text.count("\n") == SOME
        assert whole.count(False) == 1
        assert contended.log.read_text().count("transfer ended") == 1
        assert "Traceback" not in contended.log.read_text()


def test_head_says_nothing_of_a_length(http: httpx.Client) -> None:
    response = http.head("/item", headers=LINES)

    assert response.headers["Content-Type"] == "application/x-ndjson"
    assert "Content-Length" not in response.headers
    # The connection is in step: the next answer is that of the next request.
    assert http.get("/item").json() == []
