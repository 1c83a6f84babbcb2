"""Clients that leave at each stage of their request, and clients that are silent."""

import asyncio
import json
import socket
import struct

import httpx
import pytest

from tests.factories import item
from tests.faults.conftest import Target
from tests.faults.proxy import Stage
from tests.socket.conftest import KEY

STORED = "SELECT count(*) FROM item"
SILENT = 1000
RESET = struct.pack("ii", 1, 0)


def keyed(payload: dict[str, str]) -> bytes:
    """Return a request that stores a record, with the idempotency key `left`."""
    body = json.dumps(payload)
    head = (
        *("POST /item HTTP/1.1", "Host: x", f"X-API-Key: {KEY}", "Idempotency-Key: left"),
        *("Content-Type: application/json", f"Content-Length: {len(body)}", "", body),
    )
    return "\r\n".join(head).encode()


def leave(connection: socket.socket) -> None:
    """Close a connection at once, with a reset."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    connection.close()


async def check_repetition(target: Target, payload: dict[str, str]) -> None:
    """Send a request with the key of the client that has left: it is stored once."""
    headers = {"Idempotency-Key": "left"}
    async with target.client() as client:
        # The first may be in progress.
        status = 409
        while status == 409:
            status = (await client.post("/item", json=payload, headers=headers)).status_code

    assert status == 201
    assert await target.sql(STORED) == "1"


@pytest.mark.parametrize("missing", [b"Content-Type", b"}"], ids=["the head", "the body"])
async def test_of_a_client_that_leaves_while_it_sends_nothing_is_stored(
    target: Target, missing: bytes
) -> None:
    payload = item()
    sent = keyed(payload).partition(missing)[0]
    with socket.create_connection(("127.0.0.1", target.service.port)) as connection:
        connection.sendall(sent)
        await target.shows("http_server_connections{state=served}", 1)
        leave(connection)
    await target.shows("http_server_connections{state=served}", 0)

    assert await target.sql(STORED) == "0"
    await check_repetition(target, payload)


@pytest.mark.parametrize("stage", Stage)
async def test_a_client_that_leaves_while_its_record_is_stored_can_repeat_its_request(
    target: Target, stage: Stage
) -> None:
    payload = item()
    with target.proxy.trap(stage, payload["email"], holds=True) as trap:
        with socket.create_connection(("127.0.0.1", target.service.port)) as connection:
            connection.sendall(keyed(payload))
            await trap.sprung.wait()
            leave(connection)
        await target.shows("http_server_connections{state=served}", 0)

    await check_repetition(target, payload)


async def test_a_client_that_leaves_while_it_reads_leaves_no_transaction(target: Target) -> None:
    await target.sql(
        "INSERT INTO item (name, email) "
        "SELECT repeat('x', 200), n || '@example.org' FROM generate_series(1, 20000) AS n"
    )
    head = f"GET /item HTTP/1.1\r\nHost: x\r\nX-API-Key: {KEY}\r\nAccept: text/csv\r\n\r\n"
    with socket.create_connection(("127.0.0.1", target.service.port), timeout=30) as connection:
        connection.sendall(head.encode())
        answered = await asyncio.to_thread(connection.recv, 1)
        await target.shows("db_client_connection_count{pool=bulk,state=used}", 1)
        leave(connection)
    await target.shows("db_client_connection_count{pool=bulk,state=used}", 0)

    assert answered == b"H"


async def test_a_thousand_silent_connections_keep_nobody_else_out(target: Target) -> None:
    address = ("127.0.0.1", target.service.port)
    silent = [socket.create_connection(address) for _ in range(SILENT)]
    try:
        async with target.client() as client:
            health = [await client.get(path) for path in ("/livez", "/readyz")]
        statuses = []
        # Refused until the first of them have been idle for long enough.
        while 200 not in statuses:
            statuses.append((await asyncio.to_thread(get, target)).status_code)
    finally:
        for one in silent:
            one.close()

    assert [one.status_code for one in health] == [200, 200]
    assert set(statuses) <= {200, 503}


def get(target: Target) -> httpx.Response:
    """Send a request on a connection of its own."""
    return httpx.get(f"{target.service.url}/item", headers={"X-API-Key": KEY}, timeout=30)
