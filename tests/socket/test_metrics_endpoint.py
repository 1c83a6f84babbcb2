"""The port of the metrics, and clients that are silent or leave."""

import socket
from collections.abc import Iterator
from urllib.request import urlopen

import pytest
from prometheus_client import CollectorRegistry

from ops import ports
from service.metrics_endpoint import metrics_endpoint
from service.settings import Settings
from tests.ports import free_port
from tests.waiting import SECONDS

HALF = b"GET /metrics HTTP/1.1\r\nHost:"


@pytest.fixture(params=["127.0.0.1", "[::1]"])
def bind(request: pytest.FixtureRequest) -> Iterator[str]:
    """Serve metrics, with a short time for silent clients."""
    if request.param == "[::1]" and not ports.has_address("::1"):
        pytest.skip("this machine has no IPv6")
    bind = f"{request.param}:{free_port()}"
    with metrics_endpoint(Settings(metrics_bind=bind), CollectorRegistry(), silent_seconds=0.2):
        yield bind


def connect(bind: str) -> socket.socket:
    host, _, port = bind.rpartition(":")
    return socket.create_connection((host.strip("[]"), int(port)), timeout=SECONDS)


@pytest.mark.parametrize("sent", [b"", HALF])
def test_a_silent_client_is_disconnected(bind: str, sent: bytes) -> None:
    with connect(bind) as client:
        client.sendall(sent)

        assert client.recv(1) == b""


def test_a_client_that_leaves_is_no_error(bind: str, capfd: pytest.CaptureFixture[str]) -> None:
    with connect(bind) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # A reset.
        client.sendall(HALF)
    with urlopen(f"http://{bind}/metrics") as response:  # Of this machine.
        text = response.read().decode()

    assert "process_cpu_seconds_total" in text
    assert capfd.readouterr().err == ""
