"""Detection of a client that closes the connection."""

import asyncio
import socket
import sys
from pathlib import Path

import pytest

from service.common.web.peer import on_close


@pytest.fixture
def ends() -> tuple[socket.socket, socket.socket]:
    """Return both ends of a TCP connection: the client's and the service's."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        client = socket.create_connection(server.getsockname())
        return client, server.accept()[0]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells")
async def test_the_end_is_noticed_once_although_earlier_data_are_not_read(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    client, service = ends
    calls = []
    noticed = asyncio.Event()

    def notice() -> None:
        calls.append(1)
        noticed.set()

    with service, on_close(service, notice):
        client.sendall(b"unread")
        await asyncio.sleep(0.05)
        before = len(calls)
        client.close()
        await noticed.wait()
        await asyncio.sleep(0)

    assert (before, len(calls)) == (0, 1)


async def test_a_connection_that_is_closed_here_is_not_watched(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    client, service = ends
    service.close()

    with client, on_close(service, pytest.fail):
        pass


def descriptors() -> set[Path]:
    return set(Path("/dev/fd").iterdir())


async def test_watching_takes_no_file_descriptor(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    """Without a key, any number of clients can send bodies that are read as they arrive."""
    client, service = ends
    before = descriptors()
    with client, service, on_close(service, pytest.fail):
        watched = descriptors()

    assert watched == before
