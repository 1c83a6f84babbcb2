"""Clients that leave before they have their answer, over a real connection."""

import socket
from collections.abc import AsyncIterator, Iterator

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.socket.conftest import KEY, Service, running
from tests.waiting import SECONDS, until

WAITING = "SELECT count(*) FROM pg_locks WHERE NOT granted"
# Longer than a test waits for anything.
LONG = {"REQUEST_TIMEOUT": "120", "DATABASE_STATEMENT_TIMEOUT": "100"}


# A request with an idempotency key waits for a lock as long as others do.
LONG_LOCKS = (
    "from service import limits; "
    "from service.server import main; "
    "from tests.app import create_app; "
    "old = limits.KEYED_LOCK_MILLISECONDS; "
    "limits.KEYED_LOCK_MILLISECONDS = old._replace(value=60_000); "
    "main(create_app)"
)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, database_url: str) -> Iterator[Service]:
    """Return a service that ends no statement by itself while a test runs."""
    program = ("-c", LONG_LOCKS)
    with running(tmp_path_factory.mktemp("leaving"), database_url, program, **LONG) as service:
        yield service


# The same service, but a half-closed connection is kept for a minute.
HALF_CLOSED = (
    "from service.server import main, http1; "
    "from tests.app import create_app; "
    "old = http1.HALF_CLOSED_MILLISECONDS; "
    "http1.HALF_CLOSED_MILLISECONDS = old._replace(value=60_000); "
    "main(create_app)"
)


@pytest.fixture(scope="module")
def half_closed(tmp_path_factory: pytest.TempPathFactory, database_url: str) -> Iterator[Service]:
    """Return a service that keeps half-closed connections for longer than a test waits."""
    with running(tmp_path_factory.mktemp("half"), database_url, ("-c", HALF_CLOSED)) as service:
        yield service


@pytest.fixture
async def locked(engine: AsyncEngine) -> AsyncIterator[None]:
    """Let no statement read the table."""
    async with engine.begin() as connection:
        await connection.execute(text("LOCK TABLE item IN ACCESS EXCLUSIVE MODE"))
        yield


def request(path: str, method: str = "GET", *fields: str, body: str = "") -> bytes:
    head = (f"{method} {path} HTTP/1.1", "Host: localhost", f"X-API-Key: {KEY}", *fields, "", body)
    return "\r\n".join(head).encode()


BODY = '{"name": "leaving", "email": "leaving@example.org"}'
JSON = ("Content-Type: application/json", f"Content-Length: {len(BODY)}")
REQUESTS = {
    "a read": request("/item/1"),
    "a costly read": request("/item?q=zz"),
    "an export": request("/item", "GET", "Accept: text/csv"),
    "a write": request("/item", "POST", *JSON, body=BODY),
    "a transaction": request("/item", "POST", "Idempotency-Key: leaving", *JSON, body=BODY),
}


@pytest.mark.limit("HALF_CLOSED_MILLISECONDS")
@pytest.mark.parametrize("sent", REQUESTS.values(), ids=REQUESTS)
async def test_the_statement_of_a_client_that_leaves_ends(
    service: Service, engine: AsyncEngine, locked: None, sent: bytes
) -> None:
    with socket.create_connection(("127.0.0.1", service.port)) as connection:
        connection.sendall(sent)
        await until(engine, WAITING, 1)
    await until(engine, WAITING, 0)


@pytest.mark.limit("HALF_CLOSED_MILLISECONDS")
@pytest.mark.parametrize("path", ["/livez", "/item?limit=1"])
def test_a_client_that_half_closes_its_connection_reads_its_answer(
    half_closed: Service, path: str
) -> None:
    with socket.create_connection(("127.0.0.1", half_closed.port), timeout=SECONDS) as connection:
        connection.sendall(request(path))
        connection.shutdown(socket.SHUT_WR)
        answer = b"".join(iter(lambda: connection.recv(65536), b""))

    assert answer.startswith(b"HTTP/1.1 200 ")
    assert answer.endswith((b"}", b"]"))
