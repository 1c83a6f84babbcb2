"""The service as a process: that of the tests, or `python -m service`."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from service.settings import ROOT
from tests.contract import check_raw
from tests.ports import free_port
from tests.waiting import SECONDS

KEY = "k" * 16


@dataclass
class Service:
    """A running service."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def raw(self, data: bytes) -> bytes:
        """Send bytes and return all that comes back until the service closes the connection."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=SECONDS) as connection:
            connection.sendall(data)
            answered = b"".join(iter(lambda: connection.recv(65536), b""))
        check_raw(data, answered)
        return answered

    def wait_for(self, text: str, times: int = 1) -> None:
        """Return once the log has the text, so many times."""
        deadline = time.monotonic() + SECONDS
        while self.log.read_text().count(text) < times:
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.01)  # Between two looks, not instead of one.


@contextmanager
def running(
    directory: Path,
    database_url: str,
    program: Sequence[str] = ("-m", "tests.served"),
    more: str = "",
    root: str = str(ROOT),
    **settings: str,
) -> Iterator[Service]:
    """Start the service in `root` and wait until it answers; kill it in the end."""
    port = free_port()
    log = directory / f"service-{port}.log"
    environment = {
        "BIND": f"127.0.0.1:{port},{more}",
        "DATABASE_URL": database_url,
        "SECURE_API_KEY": KEY,
        "DRAIN_SECONDS": "0",
    }
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, *program],
            cwd=root,
            env=os.environ | environment | settings,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        service = Service(process, port, log)
        deadline = time.monotonic() + SECONDS
        while True:
            try:
                httpx.get(f"{service.url}/livez")
                break
            except httpx.TransportError:
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < deadline, log.read_text()
                time.sleep(0.02)  # Between two looks, not instead of one.
        yield service
    finally:
        process.kill()
        process.wait()


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, database_url: str) -> Iterator[Service]:
    """Return a service with tight limits, with `APP_ENV=production`."""
    limits = {"MAX_BODY_BYTES": "10000", "REQUEST_TIMEOUT": "1"}
    directory = tmp_path_factory.mktemp("service")
    with running(directory, database_url, APP_ENV="production", **limits) as service:
        yield service
        service.process.terminate()
        assert service.process.wait(SECONDS) == 0


@pytest.fixture
def http(service: Service, empty_database: None) -> Iterator[httpx.Client]:
    """Return a client that has the key, on empty tables."""
    with httpx.Client(base_url=service.url, headers={"X-API-Key": KEY}) as client:
        yield client
