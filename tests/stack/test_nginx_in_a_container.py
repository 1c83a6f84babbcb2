"""nginx of the official image, in its container: its own errors, compression, limits."""

import json
import socket
import time
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from ops.local import nginx
from service.settings import Settings
from tests.factories import item
from tests.ops.test_nginx import ERRORS, Proxy, check_error, head
from tests.stack.project import Stack

pytestmark = pytest.mark.stack

ORIGINS = ("http://a.example", "https://b.example:8443")


def send(stack: Stack, data: bytes) -> bytes:
    """Send bytes to nginx and return the answer."""
    port = int(stack.environment["HTTP_PORT"])
    return Proxy.raw(_Door(port), data)  # type: ignore[arg-type]  # It needs `connect` alone.


def wait_for(stack: Stack, beginning: bytes, data: bytes) -> bytes:
    """Send a request again and again until its answer begins so, and return that."""
    deadline = time.monotonic() + 10
    while not (answer := send(stack, data)).startswith(beginning):
        assert time.monotonic() < deadline, answer
    return answer


def refused_beside_a_slow_request(stack: Stack) -> bytes:
    """Return the 429 that a request gets while another is there."""
    headers = [b"X-API-Key: " + stack.key.encode(), b"Content-Type: application/json"]
    deadline = time.monotonic() + 30
    while True:
        with socket.create_connection(("127.0.0.1", int(stack.environment["HTTP_PORT"]))) as slow:
            # Half a body: the request lasts until the rest is sent.
            slow.sendall(head(b"POST /foss HTTP/1.1", b"Content-Length: 200000", *headers))
            slow.sendall(b" " * 150_000)
            # nginx counts it after it has read its headers, with a delay.
            answers = [send(stack, head(b"GET /livez HTTP/1.1")) for _ in range(20)]
        if answers[-1].startswith(b"HTTP/1.1 429 "):
            return answers[-1]
        assert time.monotonic() < deadline, answers[-1]


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
            url = http.post("/foss", json=item()).headers["Location"]
        record, page = http.get(url), http.get("/foss")
        export = http.get("/foss", headers={"Accept": "text/csv"})
        changed = http.put(url, json={"name": "Zed"}, headers={"If-Match": record.headers["ETag"]})

    assert record.headers["ETag"].startswith('"')
    assert "Content-Encoding" not in record.headers
    assert page.headers["Content-Encoding"] == "gzip"
    assert "Content-Encoding" not in export.headers
    assert changed.status_code == 200


def test_the_service_knows_the_address_of_the_client(stack: Stack) -> None:
    name = uuid4().hex
    httpx.get(f"{stack.url}/livez", headers={"X-Request-ID": name, "X-Forwarded-For": "192.0.2.7"})
    clients: dict[str, str] = {}
    deadline = time.monotonic() + 30
    while len(clients) < 2:
        assert time.monotonic() < deadline, clients
        for program in ("nginx", "api"):
            log = stack.compose("logs", "--no-log-prefix", program).stdout
            for line in log.splitlines():
                if name in line:
                    clients[program] = json.loads(line)["client"]

    assert clients["api"] == clients["nginx"] != "192.0.2.7"


def test_without_a_replica_the_answer_is_a_503_and_it_recovers(stack: Stack) -> None:
    stack.compose("stop", "--timeout", "10", "api")
    headers = check_error(send(stack, head(b"GET /foss HTTP/1.1")), 503, "Unavailable")
    stack.compose("up", "--detach", "--wait", "api")

    assert headers["Retry-After"] == "1"
    assert httpx.get(f"{stack.url}/readyz").status_code == 200


@pytest.mark.parametrize(
    "limit", [pytest.param("RATE_LIMIT", marks=pytest.mark.long), "CONNECTION_LIMIT"]
)
def test_too_much_of_one_client_is_a_429(stack: Stack, limit: str) -> None:
    strict = replace(stack, environment=stack.environment | {limit: "1"})
    strict.compose("up", "--detach", "--wait", "nginx")
    try:
        # A new nginx asks for the addresses of the replicas first; until then nothing is slow.
        wait_for(stack, b"HTTP/1.1 200 ", head(b"GET /readyz HTTP/1.1"))
        answer = refused_beside_a_slow_request(stack)
        refused = check_error(answer, 429, "TooManyRequests")
    finally:
        stack.compose("up", "--detach", "--wait", "nginx")

    assert refused["Retry-After"] == "1"


def test_the_template_is_the_one_of_the_local_stack(stack: Stack) -> None:
    rendered = stack.compose("exec", "--no-TTY", "nginx", "cat", "/tmp/nginx.conf").stdout  # noqa: S108
    template = Path(stack.directory / "nginx" / "nginx.conf.template").read_text()
    fixed = [line for line in template.splitlines() if "${" not in line]

    assert "${" not in "\n".join(line for line in rendered.splitlines() if line[:1] != "#")
    # All in their order, with what was filled in between them.
    lines = iter(rendered.splitlines())
    assert [line for line in fixed if line not in lines] == []


def test_times_and_sizes_are_those_of_the_local_stack(stack: Stack) -> None:
    sizes = {"REQUEST_TIMEOUT": "37.5", "DATABASE_STATEMENT_TIMEOUT": "0.25"}
    sizes |= {"MAX_BODY_BYTES": "99", "MAX_IMPORT_BYTES": "999"}
    sizes |= {"CONNECTION_LIMIT": "65", "MAX_CONNECTIONS": "501"}
    sizes |= {"KEEP_ALIVE_TIMEOUT": "620", "TRUSTED_PROXIES": "10.0.0.0/8, ::1/128"}
    sizes["CORS_ORIGINS"] = "http://a.example, https://b.example:8443"
    other = replace(stack, environment=stack.environment | sizes)
    settings = Settings(
        request_timeout=37.5,
        database_statement_timeout=0.25,
        max_body_bytes=99,
        max_import_bytes=999,
        connection_limit=65,
        max_connections=501,
        cors_origins=ORIGINS,
        keep_alive_timeout=620,
        trusted_proxies=("10.0.0.0/8", "::1/128"),
    )
    other.compose("up", "--detach", "--wait", "--no-deps", "nginx")
    try:
        rendered = other.compose("exec", "--no-TTY", "nginx", "cat", "/tmp/nginx.conf").stdout  # noqa: S108
    finally:
        stack.compose("up", "--detach", "--wait", "--no-deps", "nginx")
    expected = nginx.render(nginx.values(settings) | dict.fromkeys(nginx.PLACES, ""))

    names = ("client_max_body_size", "limit_conn ", "proxy_read_timeout", "worker_shutdown_timeout")
    more = ("keepalive_timeout 620s", "set_real_ip_from 10", "set_real_ip_from ::1")
    for name in (*names, *more, *(f'"{origin}"' for origin in ORIGINS)):
        here, there = (
            [line for line in text.splitlines() if line.strip().startswith(name)]
            for text in (expected, rendered)
        )
        assert here
        assert here == there


def test_nginx_opens_as_many_files_as_the_container_allows(stack: Stack) -> None:
    run = ("exec", "--no-TTY", "nginx")
    allowed = stack.compose(*run, "sh", "-c", "ulimit -Hn").stdout.strip()
    rendered = stack.compose(*run, "cat", "/tmp/nginx.conf").stdout  # noqa: S108
    files = nginx.OPEN_FILES if allowed == "unlimited" else min(int(allowed), nginx.OPEN_FILES)

    assert f"worker_rlimit_nofile {files};" in rendered
    assert f"worker_connections {files // 2};" in rendered
    assert "setrlimit" not in stack.compose("logs", "nginx").stdout


def test_a_template_with_a_fault_changes_nothing(stack: Stack) -> None:
    template = stack.directory / "nginx" / "nginx.conf.template"
    text = template.read_text()
    # Like git: another file under the same name.
    template.unlink()
    template.write_text(text.replace("http {", "http { nonsense;", 1))
    try:
        refused = stack.compose("exec", "--no-TTY", "nginx", "/flusk/start.sh", "reload")
    finally:
        template.write_text(text)

    assert refused.returncode != 0
    assert "nonsense" in refused.stderr
    assert stack.compose("exec", "--no-TTY", "nginx", "/flusk/start.sh", "reload").returncode == 0
    assert httpx.get(f"{stack.url}/readyz").status_code == 200
