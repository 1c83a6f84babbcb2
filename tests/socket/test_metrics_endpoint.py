"""The port of the metrics, and clients that are silent or leave."""

import re
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from urllib.request import urlopen

import pytest
from prometheus_client import CollectorRegistry

from ops import ports
from service.metrics_endpoint import CLIENTS, metrics_endpoint
from service.settings import Settings
from tests.ports import free_port
from tests.waiting import SECONDS, wait_until

HALF = b"GET /metrics HTTP/1.1\r\nHost:"
# A request line that Python can't parse.
NONSENSE = b"GET http://[secret HTTP/1.1\r\n\r\n"


@pytest.fixture(params=["127.0.0.1", "[::1]"])
def bind(request: pytest.FixtureRequest) -> str:
    """Return an address for metrics."""
    if request.param == "[::1]" and not ports.has_address("::1"):
        pytest.skip("this machine has no IPv6")
    return f"{request.param}:{free_port()}"


@contextmanager
def served(bind: str, silent_seconds: float = SECONDS) -> Iterator[None]:
    settings = Settings(metrics_bind=bind)
    with metrics_endpoint(settings, CollectorRegistry(), silent_seconds=silent_seconds):
        yield


def connect(bind: str) -> socket.socket:
    host, _, port = bind.rpartition(":")
    return socket.create_connection((host.strip("[]"), int(port)), timeout=SECONDS)


@pytest.mark.parametrize("sent", [b"", HALF])
def test_a_silent_client_is_disconnected(bind: str, sent: bytes) -> None:
    with served(bind, silent_seconds=0.2), connect(bind) as client:
        client.sendall(sent)

        assert client.recv(1) == b""


def test_a_request_that_fails_is_logged_without_its_text(
    bind: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with served(bind):
        with connect(bind) as client:
            client.sendall(NONSENSE)
            answer = client.recv(1)
        with urlopen(f"http://{bind}/metrics", timeout=SECONDS) as response:  # Of this machine.
            text = response.read().decode()

    said = "".join(capfd.readouterr())
    assert answer == b""
    assert "process_cpu_seconds_total" in text
    assert "metrics not sent" in said
    assert "ValueError" in said
    assert not re.search("Traceback|secret", said)


def test_one_client_more_than_there_are_places_is_disconnected(bind: str) -> None:
    with served(bind), ExitStack() as stack:
        for _ in range(CLIENTS):
            stack.enter_context(connect(bind)).sendall(HALF)
        with connect(bind) as another:
            refused = another.recv(1)
        stack.close()

        def is_answered() -> bool:
            with suppress(ConnectionError), connect(bind) as client:
                client.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
                return client.recv(1) == b"H"
            return False

        assert refused == b""
        wait_until(is_answered)
