"""nginx of the official image, in its container: its own errors, compression, limits."""

import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from tests.factories import foss
from tests.local.test_nginx import ERRORS, Proxy, check_error, head
from tests.stack.project import Stack, new_stack

pytestmark = pytest.mark.stack


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with new_stack(tmp_path_factory.mktemp("nginx")) as stack:
        started = stack.just("up")
        assert started.returncode == 0, started.stdout + started.stderr
        yield stack


def send(stack: Stack, data: bytes) -> bytes:
    """Send bytes to nginx and return the answer."""
    port = int(stack.environment["HTTP_PORT"])
    return Proxy.raw(_Door(port), data)  # type: ignore[arg-type]  # It needs `connect` alone.


class _Door:
    def __init__(self, port: int) -> None:
        self._port = port

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self._port), timeout=20)


@pytest.mark.parametrize("name", ERRORS)
def test_an_error_of_nginx_has_the_envelope(stack: Stack, name: str) -> None:
    sent, status, type_ = ERRORS[name]

    check_error(send(stack, sent), status, type_)


def test_an_entity_tag_stays_strong_for_a_client_that_accepts_gzip(stack: Stack) -> None:
    headers = {"X-API-Key": stack.key, "Accept-Encoding": "gzip"}
    with httpx.Client(base_url=stack.url, headers=headers) as http:
        for _ in range(20):
            url = http.post("/foss", json=foss()).headers["Location"]
        record, page = http.get(url), http.get("/foss")
        changed = http.put(url, json={"name": "Zed"}, headers={"If-Match": record.headers["ETag"]})

    assert record.headers["ETag"] == '"1"'
    assert "Content-Encoding" not in record.headers
    assert page.headers["Content-Encoding"] == "gzip"
    assert changed.status_code == 200


def test_without_a_replica_the_answer_is_a_503_and_it_recovers(stack: Stack) -> None:
    stack.compose("stop", "--timeout", "10", "api")
    headers = check_error(send(stack, head(b"GET /foss HTTP/1.1")), 503, "Unavailable")
    stack.compose("up", "--detach", "--wait", "api")

    assert headers["Retry-After"] == "1"
    assert httpx.get(f"{stack.url}/readyz").status_code == 200


@pytest.mark.parametrize("limit", ["RATE_LIMIT", "CONNECTION_LIMIT"])
def test_too_much_of_one_client_is_a_429(stack: Stack, limit: str) -> None:
    strict = replace(stack, environment=stack.environment | {limit: "1"})
    strict.compose("up", "--detach", "--wait", "nginx")
    try:
        with socket.create_connection(("127.0.0.1", int(stack.environment["HTTP_PORT"]))) as slow:
            # Half a body: the request is there for as long as nobody sends the rest.
            headers = [b"X-API-Key: " + stack.key.encode(), b"Content-Type: application/json"]
            slow.sendall(head(b"POST /foss HTTP/1.1", b"Content-Length: 200000", *headers))
            slow.sendall(b" " * 150_000)
            answers = [send(stack, head(b"GET /livez HTTP/1.1")) for _ in range(5)]
        refused = check_error(answers[-1], 429, "TooManyRequests")
    finally:
        stack.compose("up", "--detach", "--wait", "nginx")

    assert refused["Retry-After"] == "1"


def test_the_template_is_the_one_of_the_local_stack(stack: Stack) -> None:
    rendered = stack.compose("exec", "--no-TTY", "nginx", "cat", "/tmp/nginx.conf").stdout  # noqa: S108
    template = Path(stack.directory / "nginx" / "nginx.conf.template").read_text()
    fixed = [line for line in template.splitlines() if "${" not in line]

    assert "${" not in "\n".join(line for line in rendered.splitlines() if line[:1] != "#")
    assert [line for line in rendered.splitlines() if line in set(fixed)] == fixed
