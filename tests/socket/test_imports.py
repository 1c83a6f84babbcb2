"""Imports over a real connection: memory, clients that are slow or leave, and limits."""

import asyncio
import json
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import httpx
import psutil
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from service.common.bulk.lines import STAGED_BYTES
from service.common.database.work import BULK_CONNECTIONS
from tests.factories import item
from tests.socket.conftest import KEY, Service, running
from tests.waiting import until

MIB = 1 << 20
HEADERS = {"X-API-Key": KEY, "Content-Type": "application/x-ndjson"}
HEAD = (
    f"POST /item HTTP/1.1\r\nHost: localhost\r\nX-API-Key: {KEY}\r\n"
    "Content-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n"
).encode()
# Lines without text are passed over, and so cost no time of the database.
FILLER = (b" " * 1023 + b"\n") * 1024
FILLERS = 250
UNREAD = 160 << 10
WAITING = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'transactionid'"
OPEN = """
SELECT count(*) FROM pg_stat_activity
WHERE pid <> pg_backend_pid() AND xact_start IS NOT NULL AND query LIKE '%item_lines%'
"""
RESTING = f"{OPEN} AND state = 'idle in transaction' AND query LIKE 'COPY%'"
# An import waits for this look-up of its key, and its body is not read meanwhile.
LOCK = text("LOCK TABLE idempotencykey")
LOCKED = "SELECT count(*) FROM pg_locks WHERE NOT granted"
WRITERS = """
SELECT count(*) FROM pg_locks WHERE relation = 'item'::regclass AND mode = 'RowExclusiveLock'
"""
STORED = "SELECT count(*) FROM item"


def lines(count: int) -> bytes:
    return "".join(f"{json.dumps(item())}\n" for _ in range(count)).encode()


def chunk(data: bytes) -> bytes:
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


async def test_a_large_file_that_is_read_slowly_takes_no_memory(
    service: Service, engine: AsyncEngine, empty_database: None
) -> None:
    process = psutil.Process(service.process.pid)
    async with httpx.AsyncClient(headers=HEADERS, timeout=120) as client:
        warmed = await client.post(f"{service.url}/item", content=lines(6000))
    before = process.memory_info().rss
    sent = 0
    batch = lines(6000)

    def body() -> Iterator[bytes]:
        nonlocal sent
        yield batch
        for _ in range(FILLERS):
            yield FILLER
            sent += len(FILLER)

    with ThreadPoolExecutor() as pool:
        async with engine.begin() as connection:
            await connection.execute(LOCK)
            headers = HEADERS | {"Idempotency-Key": "large"}
            answer = pool.submit(
                httpx.post, f"{service.url}/item", headers=headers, content=body(), timeout=120
            )
            await until(engine, LOCKED, 1)
            await asyncio.sleep(0.5)  # Long enough for the client to send all of it.
            taken, grown = sent, process.memory_info().rss - before
            await connection.rollback()
        response = answer.result()

    assert warmed.status_code == 201
    assert taken < 20 * MIB
    assert grown < 20 * MIB
    assert sent == FILLERS * len(FILLER)
    assert response.json() == {"created": 6000}
    assert process.memory_info().rss - before < 20 * MIB


@pytest.mark.parametrize("together", [1, 7, 6000])
def test_a_line_may_be_a_chunk(service: Service, empty_database: None, together: int) -> None:
    chunks = [chunk(line) for line in lines(6000).splitlines(keepends=True)]
    head = HEAD.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    with socket.create_connection(("127.0.0.1", service.port), timeout=30) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.sendall(head)
        for start in range(0, len(chunks), together):
            connection.sendall(b"".join(chunks[start : start + together]))
        connection.sendall(b"0\r\n\r\n")
        answered = b"".join(iter(lambda: connection.recv(65536), b""))

    assert answered.startswith(b"HTTP/1.1 201 ")
    assert answered.endswith(b'{"created":6000}')


# The tests are the proxy.
BEHIND_PROXY = {"TRUSTED_PROXIES": "127.0.0.0/8"}


def of_client(number: int) -> bytes:
    """Return the beginning of an import of a client, behind a proxy."""
    forwarded = f"\r\nX-Forwarded-For: 192.0.2.{number}\r\n\r\n".encode()
    return HEAD.replace(b"\r\n\r\n", forwarded)


async def test_an_unfinished_request_is_not_stored(
    service: Service, engine: AsyncEngine, empty_database: None
) -> None:
    with socket.create_connection(("127.0.0.1", service.port)) as connection:
        connection.sendall(HEAD + chunk(lines(6000)))
        await until(engine, OPEN, 1)
    await until(engine, OPEN, 0)

    await until(engine, STORED, 0)


async def test_an_import_ends_when_its_client_disconnects_while_its_body_is_not_read(
    tmp_path: Path, database_url: str, engine: AsyncEngine, empty_database: None
) -> None:
    """Unread data precedes the end of the connection, so reading would not notice it."""
    with running(tmp_path, database_url) as left:
        async with engine.begin() as other:
            await other.execute(LOCK)
            with socket.create_connection(("127.0.0.1", left.port)) as connection:
                key = b"\r\nIdempotency-Key: left\r\n\r\n"
                # The part that the service reads before it looks up the key.
                body = lines(6000)
                first = body[: body.index(b"\n", STAGED_BYTES) + 1]
                connection.sendall(HEAD.replace(b"\r\n\r\n", key) + chunk(first))
                await until(engine, LOCKED, 1)
                # More than the service takes meanwhile, and less than the buffers hold.
                connection.sendall(chunk(FILLER[:UNREAD]))
            await until(engine, LOCKED, 0)
            await other.rollback()
        check_left(left)
    await until(engine, STORED, 0)


async def test_an_import_ends_when_its_client_leaves_while_its_records_are_stored(
    tmp_path: Path, database_url: str, engine: AsyncEngine, empty_database: None
) -> None:
    body = lines(6000)
    rival = {"email": json.loads(body.splitlines()[0])["email"]}
    insert = text("INSERT INTO item (name, email) VALUES ('rival', :email)")
    with running(tmp_path, database_url) as left:
        async with engine.begin() as other:
            # The import waits for this one in PostgreSQL.
            await other.execute(insert, rival)
            with socket.create_connection(("127.0.0.1", left.port)) as connection:
                connection.sendall(HEAD + chunk(body) + chunk(b""))
                await until(engine, WAITING, 1)
            await until(engine, WAITING, 0)
            await other.rollback()
        check_left(left)
    await until(engine, STORED, 0)


def check_left(service: Service) -> None:
    # Not a time-out, and no response to a disconnected client.
    service.wait_for("status=499")

    assert "status=50" not in service.log.read_text()
    assert "Traceback" not in service.log.read_text()


async def test_an_import_is_in_nobodys_way_while_its_client_sends(
    service: Service, engine: AsyncEngine, empty_database: None
) -> None:
    records = [item() for _ in range(10_000)]
    size = text("SELECT pg_relation_size('item')")
    with socket.create_connection(("127.0.0.1", service.port), timeout=30) as connection:
        body = "".join(f"{json.dumps(record)}\n" for record in records).encode()
        connection.sendall(HEAD + chunk(body))
        await until(engine, RESTING, 1)
        async with engine.connect() as observer:
            grown, writers = await observer.scalar(size), await observer.scalar(text(WRITERS))
        async with httpx.AsyncClient(base_url=service.url, headers=HEADERS) as client:
            json_ = {"Content-Type": "application/json"}
            one = await client.post("/item", json=records[1], headers=json_)
        connection.sendall(chunk(b""))
        answered = connection.recv(65536)

    assert (grown, writers) == (0, 0)
    assert one.status_code == 201
    assert answered.startswith(b"HTTP/1.1 422 ")
    assert b'"line":2}' in answered
    await until(engine, STORED, 1)


@pytest.mark.limit("BULK_TRANSFERS", "TRANSFER_MILLISECONDS_FOR_OTHERS")
@pytest.mark.parametrize(("seconds", "status"), [(1000, 503), (0, 201)])
async def test_an_import_whose_client_rests_ends_only_if_another_waits_for_too_long(
    tmp_path: Path,
    database_url: str,
    engine: AsyncEngine,
    empty_database: None,
    seconds: int,
    status: int,
) -> None:
    program = ("-m", "tests.socket.contended", str(seconds))
    with (
        running(tmp_path, database_url, program, **BEHIND_PROXY) as contended,
        ExitStack() as stack,
    ):
        connections = []
        for number in range(BULK_CONNECTIONS):
            connection = socket.create_connection(("127.0.0.1", contended.port), timeout=30)
            connections.append(stack.enter_context(connection))
            # As many as are sent to the database together.
            connection.sendall(of_client(number) + chunk(lines(5000)))
        await until(engine, RESTING, BULK_CONNECTIONS)
        async with httpx.AsyncClient(base_url=contended.url, headers=HEADERS) as client:
            one_more = await client.post("/item", content=lines(1), timeout=30)
        for connection in connections:
            connection.sendall(chunk(b""))
        answers = sorted(connection.recv(12) for connection in connections)
    await until(engine, OPEN, 0)

    assert one_more.status_code == status
    ended = int(status == 201)
    assert answers == [b"HTTP/1.1 201"] * (BULK_CONNECTIONS - ended) + [b"HTTP/1.1 408"] * ended
    await until(engine, STORED, 5000 * (BULK_CONNECTIONS - ended) + ended)


async def test_an_unfinished_write_of_a_killed_service_is_not_stored(
    tmp_path: Path, database_url: str, engine: AsyncEngine, empty_database: None
) -> None:
    with (
        running(tmp_path, database_url) as killed,
        socket.create_connection(("127.0.0.1", killed.port)) as connection,
    ):
        connection.sendall(HEAD + chunk(lines(6000)))
        await until(engine, OPEN, 1)
        killed.process.kill()
        await until(engine, OPEN, 0)

    await until(engine, STORED, 0)


@pytest.mark.limit("PROGRESS_SECONDS")
async def test_a_body_that_rests_is_a_408(
    tmp_path: Path, database_url: str, engine: AsyncEngine, empty_database: None
) -> None:
    with running(tmp_path, database_url, ("-m", "tests.socket.short_timeouts")) as service:
        answered = service.raw(HEAD + chunk(lines(6000)))

    assert answered.startswith(b"HTTP/1.1 408 ")
    assert b"connection: close" in answered.lower()
    await until(engine, OPEN, 0)
    await until(engine, STORED, 0)


async def test_no_request_waits_for_a_client_that_has_not_sent_its_records(
    tmp_path: Path, database_url: str, engine: AsyncEngine, empty_database: None
) -> None:
    with running(tmp_path, database_url, **BEHIND_PROXY) as service, ExitStack() as stack:
        for number in range(BULK_CONNECTIONS):
            key = f"\r\nIdempotency-Key: slow-{number}\r\n\r\n".encode()
            connection = socket.create_connection(("127.0.0.1", service.port))
            stack.enter_context(connection)
            connection.sendall(of_client(number).replace(b"\r\n\r\n", key) + chunk(lines(1)))
        async with httpx.AsyncClient(base_url=service.url, headers=HEADERS) as client:
            export = await client.get("/item", headers={"Accept": "text/csv"})
            created = await client.post("/item", content=lines(1))

    assert export.status_code == 200
    assert created.json() == {"created": 1}


@pytest.mark.limit("PROGRESS_SECONDS", "TRANSFER_BYTES")
def test_a_trickle_is_no_progress(tmp_path: Path, database_url: str, empty_database: None) -> None:
    with (
        running(tmp_path, database_url, ("-m", "tests.socket.short_timeouts")) as service,
        socket.create_connection(("127.0.0.1", service.port)) as connection,
    ):
        connection.settimeout(0.1)
        connection.sendall(HEAD)
        answered = b""
        for _ in range(100):
            try:
                answered = connection.recv(65536)
                break
            except TimeoutError:
                connection.sendall(chunk(b" "))

    assert answered.startswith(b"HTTP/1.1 408 ")


@pytest.mark.limit("PROGRESS_SECONDS")
def test_a_body_that_comes_slowly_outlives_the_deadline(
    tmp_path: Path, database_url: str, empty_database: None
) -> None:
    """A body that makes progress is read to its end, however long that takes."""

    def body() -> Iterator[bytes]:
        for _ in range(10):
            yield lines(1)
            time.sleep(0.1)  # A slow client is what is tested.

    with running(tmp_path, database_url, REQUEST_TIMEOUT="0.5") as slow:
        response = httpx.post(f"{slow.url}/item", headers=HEADERS, content=body())

    assert response.json() == {"created": 10}


def test_a_chunked_body_over_the_limit_is_a_413(
    tmp_path: Path, database_url: str, empty_database: None
) -> None:
    with running(tmp_path, database_url, MAX_IMPORT_BYTES=str(MIB)) as limited:
        content = (FILLER for _ in range(2))
        response = httpx.post(f"{limited.url}/item", headers=HEADERS, content=content)
        fits = httpx.post(f"{limited.url}/item", headers=HEADERS, content=FILLER)

    assert response.status_code == 413
    assert fits.json() == {"created": 0}


@pytest.mark.parametrize("key", [KEY, "wrong"])
def test_a_file_that_is_refused_is_not_read_to_its_end(service: Service, key: str) -> None:
    """The answer comes while the client still sends; then the connection closes."""
    wrong = b"[]\n" * 100
    head = HEAD.replace(KEY.encode(), key.encode())
    with socket.create_connection(("127.0.0.1", service.port), timeout=30) as connection:
        connection.sendall(head + chunk(wrong))
        answered = b""
        while b"\r\n\r\n" not in answered:
            answered += connection.recv(65536)
        assert answered.startswith(b"HTTP/1.1 422 " if key == KEY else b"HTTP/1.1 401 ")
        assert b"connection: close" in answered.lower()


async def test_others_are_served_during_an_import(
    service: Service, engine: AsyncEngine, empty_database: None
) -> None:
    with ThreadPoolExecutor() as pool:
        answer = pool.submit(
            httpx.post, f"{service.url}/item", headers=HEADERS, content=lines(20_000), timeout=60
        )
        await until(engine, OPEN, 1)
        async with httpx.AsyncClient(base_url=service.url, headers=HEADERS) as client:
            seen = [(await client.get("/item")).json() for _ in range(20)]
        created = answer.result().json()

    assert seen[0] == []
    assert created == {"created": 20_000}
