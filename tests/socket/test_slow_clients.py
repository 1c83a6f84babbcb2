"""Clients that read slowly, and clients that do not read, over a real connection."""

import socket
import struct
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from service.docs.domain import ASSETS, FOLDER
from service.limits import RECEIVE_BUFFER_BYTES, SEND_BUFFER_BYTES
from service.server.run import open_sockets
from tests.socket.conftest import KEY, Service, running
from tests.waiting import SECONDS

BUNDLE = "/docs/swagger-ui-bundle.js"
CONTENT = (FOLDER / ASSETS["swagger-ui-bundle.js"]).read_bytes()


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, database_url: str) -> Iterator[Service]:
    """Return a service that waits a second for progress, and less than that for a view."""
    directory = tmp_path_factory.mktemp("slow")
    program = ("-m", "tests.socket.short_timeouts")
    with running(directory, database_url, program, REQUEST_TIMEOUT="0.5") as service:
        yield service


def connect(service: Service, path: str) -> socket.socket:
    """Ask for a path on a connection that buffers little."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.settimeout(SECONDS)
    connection.connect(("127.0.0.1", service.port))
    head = f"GET {path} HTTP/1.1\r\nHost: x\r\nX-API-Key: {KEY}\r\nConnection: close\r\n\r\n"
    connection.sendall(head.encode())
    return connection


def is_open(service: Service, connection: socket.socket) -> bool:
    """Return whether the service still has its end of a connection."""
    port = connection.getsockname()[1]
    ends = psutil.Process(service.process.pid).net_connections("tcp4")
    return any(end.raddr and end.raddr.port == port for end in ends)


@pytest.mark.limit("PROGRESS_SECONDS")
def test_a_slow_client_gets_all_of_a_large_answer(service: Service) -> None:
    with connect(service, BUNDLE) as connection:
        found = bytearray()
        while data := connection.recv(1 << 16):
            found += data
            time.sleep(len(data) / 500_000)  # A slow reader is what is tested.

    assert bytes(found).partition(b"\r\n\r\n")[2] == CONTENT
    assert "response aborted" not in service.log.read_text()


@pytest.mark.limit("PROGRESS_SECONDS")
def test_a_client_that_does_not_read_is_cut(service: Service) -> None:
    with connect(service, BUNDLE) as connection:
        service.wait_for("the client did not read for 1 s")
        deadline = time.monotonic() + 30
        while is_open(service, connection):
            assert time.monotonic() < deadline
            time.sleep(0.05)  # Between two looks, not instead of one.

    assert "Traceback" not in service.log.read_text()


def test_clients_that_do_not_read_cost_no_copy_of_the_answer(service: Service) -> None:
    clients = 50
    process = psutil.Process(service.process.pid)
    with connect(service, BUNDLE):
        before = process.memory_info().rss
        connections = [connect(service, BUNDLE) for _ in range(clients)]
        for connection in connections:
            connection.recv(1, socket.MSG_PEEK)
        grown = process.memory_info().rss - before
        for connection in connections:
            connection.close()

    assert grown < clients * len(CONTENT) / 10


def test_a_client_that_goes_unread_has_one_access_line(tmp_path: Path, database_url: str) -> None:
    with running(tmp_path, database_url) as left:
        connection = connect(left, BUNDLE)
        connection.recv(1, socket.MSG_PEEK)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.close()
        left.wait_for("status=499")
        left.process.terminate()
        code = left.process.wait(SECONDS)

    assert code == 0
    assert left.log.read_text().count(f"path={BUNDLE}") == 1


@pytest.mark.limit("SEND_BUFFER_BYTES")
def test_the_kernel_buffers_a_limited_part_of_unread_data() -> None:
    [listening] = open_sockets(["127.0.0.1:0"]).insecure_sockets
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.connect(listening.getsockname())
    connection, _ = listening.accept()
    with listening, client, connection:
        connection.setblocking(False)
        taken = connection.send(bytes(SEND_BUFFER_BYTES.value))
        with pytest.raises(BlockingIOError):  # noqa: PT012  # At some time it takes no more.
            while True:
                taken += connection.send(bytes(SEND_BUFFER_BYTES.value))

    assert SEND_BUFFER_BYTES.value <= taken < 3 * SEND_BUFFER_BYTES.value


@pytest.mark.limit("RECEIVE_BUFFER_BYTES")
def test_the_kernel_takes_little_of_a_client_that_sends_more_than_is_read() -> None:
    [listening] = open_sockets(["127.0.0.1:0"]).insecure_sockets
    with listening, socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        client.connect(listening.getsockname())
        with listening.accept()[0]:
            client.settimeout(1)
            taken = 0
            with pytest.raises(TimeoutError):  # noqa: PT012  # At some time it takes no more.
                while True:
                    taken += client.send(bytes(4096))

    # It counts what it needs beside the bytes, and has twice as many.
    assert RECEIVE_BUFFER_BYTES.value <= taken < 3 * RECEIVE_BUFFER_BYTES.value
