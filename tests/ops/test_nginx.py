"""nginx itself, with the template of the stack: its own errors, its limits, its retries."""

import json
import re
import resource
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from ops import ports
from ops.local import nginx
from service import limits
from service.settings import ROOT, Settings
from tests.contract import ELSEWHERE
from tests.envelope import check_envelope
from tests.factories import item
from tests.ports import free_port, refusing_port
from tests.socket.conftest import KEY, Service, running
from tests.waiting import SECONDS

pytestmark = pytest.mark.skipif(nginx.executable() is None, reason="nginx is not installed")

LARGE_BYTES = 1 << 23
# Never answered by a replica that gives tags.
SLOW = b"GET /slow "
LINKS = b"<" + b"x" * 20_000 + b">"
MAX_BODY_BYTES = 10_000
# So many requests in progress, with that for the page, that a page is still compressed.
FEW = 4
# Each character that means something to nginx, and some more.
ODD = """a b'c"d;e{f}g$h#i\\j%k&l(m)é\u20ac"""


@dataclass
class Replica:
    """A service that answers every request, closes the connection instead, or does nothing."""

    behaviour: str
    listener: socket.socket = field(default_factory=lambda: socket.create_server(("127.0.0.1", 0)))
    requests: list[bytes] = field(default_factory=list)
    connections: int = 0

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.listener.getsockname()[1]}"

    def serve(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self.converse, args=(connection,), daemon=True).start()

    def converse(self, connection: socket.socket) -> None:
        with connection:
            while head := read_head(connection):
                self.requests.append(head)
                if self.behaviour == "end":
                    self.end()
                if self.behaviour in {"close", "end"}:
                    return
                if self.behaviour == "answer":
                    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
                if self.behaviour == "kept":
                    connection.sendall(
                        b"HTTP/1.1 404 Not Found\r\nCache-Control: private, no-cache\r\n"
                        b"Content-Length: 2\r\n\r\n{}"
                    )
                if self.behaviour == "tag" and not head.startswith(SLOW):
                    connection.sendall(
                        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                        b'ETag: "1"\r\nContent-Length: 9000\r\n\r\n' + b" " * 9000
                    )
                if self.behaviour == "links":
                    connection.sendall(
                        b"HTTP/1.1 200 OK\r\nLink: %b\r\nContent-Length: 2\r\n\r\n{}" % LINKS
                    )
                if self.behaviour == "large":
                    connection.sendall(
                        b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % LARGE_BYTES
                    )
                    with suppress(OSError):  # The client does not read it.
                        connection.sendall(bytes(LARGE_BYTES))
                if self.behaviour == "stream":
                    connection.sendall(
                        b"HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\n"
                        b"Transfer-Encoding: chunked\r\n\r\n4\r\n[1]\n\r\n"
                    )

    def end(self) -> None:
        """Refuse connections."""
        # Wakes `accept`, which `close` alone would not.
        with suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


def read_head(connection: socket.socket) -> bytes:
    """Return a request with what is read of its body; nothing if the connection is closed."""
    data = b""
    while b"\r\n\r\n" not in data:
        part = connection.recv(65536)
        if not part:
            return b""
        data += part
    return data


@contextmanager
def replica(behaviour: str) -> Iterator[Replica]:
    it = Replica(behaviour)
    threading.Thread(target=it.serve, daemon=True).start()
    yield it
    it.end()


@dataclass
class Proxy:
    """A running nginx."""

    port: int
    state: Path
    process: subprocess.Popen[bytes]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=SECONDS)

    def raw(self, data: bytes) -> bytes:
        """Send bytes and return the answer."""
        with self.connect() as connection:
            connection.sendall(data)
            answer = b""
            while not is_whole(answer) and (part := connection.recv(65536)):
                answer += part
            return answer

    def log(self) -> list[dict[str, Any]]:
        """Return the access log, once what was answered is in it."""
        return [json.loads(line) for line in (self.state / "access.log").read_text().splitlines()]

    def wait_for_log(self, request_id: str) -> dict[str, Any]:
        deadline = time.monotonic() + SECONDS
        while True:
            for line in self.log():
                if line["request_id"] == request_id:
                    return line
            assert time.monotonic() < deadline, self.log()
            time.sleep(0.01)  # Between two looks, not instead of one.


@contextmanager
def proxy(
    state: Path, replicas: Sequence[str], header_timeout: str = "5s", **values: str
) -> Iterator[Proxy]:
    """Run nginx on the template, in front of addresses."""
    port = free_port()
    prefix = state / "nginx"
    prefix.mkdir(parents=True)
    settings = Settings(max_body_bytes=MAX_BODY_BYTES, max_import_bytes=MAX_BODY_BYTES)
    places = {
        "NGINX_LISTEN": nginx.listen([f"127.0.0.1:{port}"]),
        "NGINX_NEWER": "",
        "NGINX_STATUS": "",
        "NGINX_UPSTREAM": " ".join(f"server {address} max_fails=0;" for address in replicas),
    }
    text = nginx.render(nginx.values(settings) | places | values)
    line = "client_header_timeout {};"
    assert line.format("5s") in text
    (prefix / "nginx.conf").write_text(text.replace(line.format("5s"), line.format(header_timeout)))
    command = nginx.find().command(prefix)
    with (state / "access.log").open("wb") as access, (state / "error.log").open("wb") as errors:
        process = subprocess.Popen(command, stdout=access, stderr=errors)
    try:
        wait_until_listening(process, port, state / "error.log")
        yield Proxy(port, state, process)
    finally:
        process.terminate()
        process.wait(SECONDS)


def wait_until_listening(
    process: subprocess.Popen[bytes], port: int, log: Path | None = None
) -> None:
    deadline = time.monotonic() + SECONDS
    while True:
        with socket.socket() as client:
            if client.connect_ex(("127.0.0.1", port)) == 0:
                return
        assert process.poll() is None, log and log.read_text()
        assert time.monotonic() < deadline
        time.sleep(0.01)  # Between two looks, not instead of one.


# For a fake of the service, whose responses do not follow the contract.
FAKE = {"Host": ELSEWHERE}


def parse(answer: bytes) -> tuple[int, httpx.Headers, bytes]:
    head, _, body = answer.partition(b"\r\n\r\n")
    status, *lines = head.decode("latin-1").split("\r\n")
    pairs = [(name, value) for name, _, value in (line.partition(": ") for line in lines)]
    return int(status.split()[1]), httpx.Headers(pairs), body


def is_whole(answer: bytes) -> bool:
    """Return whether an answer is as long as it says; nginx may hold its connection open longer."""
    head, end, body = answer.partition(b"\r\n\r\n")
    length = re.search(rb"(?i)\r\ncontent-length: (\d+)", head)
    return bool(end and length) and len(body) >= int(length[1] if length else 0)


def check_error(answer: bytes, status: int, type_: str) -> httpx.Headers:
    code, headers, body = parse(answer)

    assert code == status, answer
    check_envelope(json.loads(body), headers, status, type_)
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert headers["Server"] == "nginx"
    # The 408 is the service's.
    assert headers.get_list("Cache-Control") == ["no-store"] or status == 408
    return headers


def head(line: bytes, *more: bytes) -> bytes:
    return b"\r\n".join([line, b"Host: localhost", b"Connection: close", *more, b"", b""])


REFUSED = {
    "too many header fields": ((b"X: 1",) * 101, 431),
    "a vertical tab": ((b"X: \v",), 400),
    "a form feed": ((b"X: \f",), 400),
}


@pytest.mark.parametrize("name", REFUSED)
def test_requests_that_only_the_service_rejects_have_the_envelope_too(
    front: "Proxy", name: str
) -> None:
    more, status = REFUSED[name]
    headers = check_error(
        front.raw(head(b"GET /livez HTTP/1.1", *more)), status, "InvalidAPIRequest"
    )

    assert front.wait_for_log(headers["X-Request-ID"])["status"] == status


def test_a_url_that_is_not_ascii_has_the_envelope_too(front: "Proxy") -> None:
    answer = front.raw(head(b"GET /\xff HTTP/1.1"))
    check_error(answer, 400, "InvalidAPIRequest")

    assert b"not ASCII" in parse(answer)[2]


def test_an_upgrade_to_http_2_is_ignored(front: "Proxy") -> None:
    upgrade = (b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABkAAQAAP__")

    assert parse(front.raw(head(b"GET /livez HTTP/1.1", *upgrade)))[0] == 200
    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
    check_error(front.raw(preface), 400, "InvalidAPIRequest")


@pytest.fixture(scope="module")
def answering(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Proxy, Replica]]:
    """Return nginx before a replica that answers."""
    state = tmp_path_factory.mktemp("answering")
    with replica("answer") as upstream, proxy(state, [upstream.address]) as front:
        yield front, upstream


ERRORS = {
    "nonsense": (b"nonsense\r\n\r\n", 400, "InvalidAPIRequest"),
    "no version": (b"GET / XTTP/1.1\r\n\r\n", 400, "InvalidAPIRequest"),
    "no Host": (b"GET / HTTP/1.1\r\n\r\n", 400, "InvalidAPIRequest"),
    "two Hosts": (head(b"GET / HTTP/1.1", b"Host: b"), 400, "InvalidAPIRequest"),
    "a path above the root": (head(b"GET /../x HTTP/1.1"), 400, "InvalidAPIRequest"),
    "a wrong escape": (head(b"GET /%zz HTTP/1.1"), 400, "InvalidAPIRequest"),
    "a wrong length": (head(b"POST / HTTP/1.1", b"Content-Length: x"), 400, "InvalidAPIRequest"),
    "a length and chunks": (
        head(b"POST / HTTP/1.1", b"Content-Length: 1", b"Transfer-Encoding: chunked"),
        400,
        "InvalidAPIRequest",
    ),
    "TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400, "InvalidAPIRequest"),
    "an internal page": (head(b"GET /_error HTTP/1.1"), 404, "InvalidAPIRequest"),
    "an internal route": (head(b"DELETE /_once HTTP/1.1"), 404, "InvalidAPIRequest"),
    "a streamed route": (head(b"PUT /_streamed/any HTTP/1.1"), 404, "InvalidAPIRequest"),
    "a route of collections": (
        head(b"GET /_collection/compressed HTTP/1.1"),
        404,
        "InvalidAPIRequest",
    ),
    "TRACE": (head(b"TRACE / HTTP/1.1"), 405, "InvalidAPIRequest"),
    "too long a body": (
        head(b"POST / HTTP/1.1", b"Content-Length: 99999999999"),
        413,
        "InvalidAPIRequest",
    ),
    "too long a URL": (head(b"GET /" + b"a" * 40_000 + b" HTTP/1.1"), 414, "InvalidAPIRequest"),
    "too long a header": (
        head(b"GET / HTTP/1.1", b"X-Long: " + b"a" * 40_000),
        431,
        "InvalidAPIRequest",
    ),
    "an unknown encoding": (
        head(b"POST / HTTP/1.1", b"Transfer-Encoding: gzip"),
        501,
        "InternalError",
    ),
    "a later version": (head(b"GET / HTTP/3.7"), 505, "InternalError"),
}


# What nginx rejects since that version.
LENIENT, STRICT = {"no version", "a length and chunks"}, (1, 21, 1)


@pytest.mark.error(
    "400 InvalidAPIRequest",
    "404 InvalidAPIRequest",
    "405 InvalidAPIRequest",
    "413 InvalidAPIRequest",
    "414 InvalidAPIRequest",
    "431 InvalidAPIRequest",
    "501 InternalError",
    "505 InternalError",
)
@pytest.mark.parametrize("name", ERRORS)
def test_an_error_of_nginx_has_the_envelope(answering: tuple[Proxy, Replica], name: str) -> None:
    front, upstream = answering
    before = len(upstream.requests)
    sent, status, type_ = ERRORS[name]
    if name in LENIENT and nginx.find().version < STRICT:
        pytest.skip("nginx of this version takes such a request, and makes it well-formed")
    headers = check_error(front.raw(sent), status, type_)

    assert len(upstream.requests) == before
    assert ("Allow" in headers) == (status == 405)
    assert "Retry-After" not in headers
    assert front.wait_for_log(headers["X-Request-ID"])["status"] == status


ORIGIN = "http://localhost:8080"


def test_a_page_on_the_list_may_read_an_error_of_nginx(answering: tuple[Proxy, Replica]) -> None:
    sent = head(b"TRACE / HTTP/1.1", b"Origin: " + ORIGIN.encode())
    headers = check_error(answering[0].raw(sent), 405, "InvalidAPIRequest")

    assert headers["Access-Control-Allow-Origin"] == ORIGIN
    assert headers["Vary"] == "Origin"
    assert headers["Access-Control-Expose-Headers"] == "Retry-After, X-Request-ID"


@pytest.mark.parametrize("lines", [(), (b"Origin: http://evil.example",), (b"Origin: null",)])
def test_any_other_page_may_not(answering: tuple[Proxy, Replica], lines: tuple[bytes, ...]) -> None:
    headers = check_error(
        answering[0].raw(head(b"TRACE / HTTP/1.1", *lines)), 405, "InvalidAPIRequest"
    )

    assert headers["Vary"] == "Origin"
    assert {"Access-Control-Allow-Origin", "Access-Control-Expose-Headers"}.isdisjoint(headers)


def test_with_every_origin_on_the_list_every_page_may(tmp_path: Path) -> None:
    everyone = nginx.values(Settings(cors_origins=("*",)))["NGINX_ORIGINS"]
    with proxy(tmp_path / "state", ["127.0.0.1:9"], NGINX_ORIGINS=everyone) as front:
        sent = head(b"TRACE / HTTP/1.1", b"Origin: http://any.example")
        headers = check_error(front.raw(sent), 405, "InvalidAPIRequest")

    assert headers["Access-Control-Allow-Origin"] == "*"
    assert "Vary" not in headers


def test_the_service_s_own_cors_headers_stay_single(http: httpx.Client) -> None:
    answer = http.get("/item", headers={"Origin": ORIGIN})

    assert answer.headers.get_list("Access-Control-Allow-Origin") == [ORIGIN]
    assert answer.headers.get_list("Vary", split_commas=True).count("Origin") == 1


def test_connect_has_the_envelope(answering: tuple[Proxy, Replica]) -> None:
    front, upstream = answering
    before = len(upstream.requests)
    answer = front.raw(b"CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\nConnection: close\r\n\r\n")

    # 1.22 knows the method only as a malformed line.
    status = parse(answer)[0]
    assert status in {400, 405}
    check_error(answer, status, "InvalidAPIRequest")
    assert len(upstream.requests) == before


def test_an_error_of_nginx_to_head_has_no_body(answering: tuple[Proxy, Replica]) -> None:
    status, headers, body = parse(answering[0].raw(head(b"HEAD /_error HTTP/1.1")))

    assert (status, body) == (404, b"")
    assert headers["Content-Type"] == "application/json"


@pytest.mark.parametrize("sent", ["mine-1._", "not mine", "a" * 65, ""])
def test_an_error_of_nginx_keeps_only_a_valid_request_id(
    answering: tuple[Proxy, Replica], sent: str
) -> None:
    front, _ = answering
    answer = front.raw(head(b"TRACE / HTTP/1.1", b"X-Request-ID: " + sent.encode()))
    headers = check_error(answer, 405, "InvalidAPIRequest")

    assert (headers["X-Request-ID"] == sent) == (sent == "mine-1._")
    line = front.wait_for_log(headers["X-Request-ID"])
    assert (line["method"], line["status"], line["upstream"]) == ("TRACE", 405, "")


def test_the_service_sees_the_key_the_client_and_one_request_id(
    answering: tuple[Proxy, Replica],
) -> None:
    front, upstream = answering
    answer = front.raw(
        head(
            b"GET /a%2Fb//c?d=%20 HTTP/1.1",
            b"_secure_key: 1",
            b"X-API-Key: 2",
            b"Authorization: Bearer 3",
            b"X-Forwarded-For: 10.0.0.1",
            b"X-Forwarded-Host: evil.example",
            b"Forwarded: for=10.0.0.1",
            b"X-Request-ID: in valid",
            b"Upgrade: h2c",
        )
    )
    line, *lines = upstream.requests[-1].decode().strip().split("\r\n")
    headers = httpx.Headers(
        [(name, value) for name, _, value in (h.partition(": ") for h in lines)]
    )
    logged = front.wait_for_log(headers["X-Request-ID"])

    assert line == "GET /a%2Fb//c?d=%20 HTTP/1.1"
    assert (headers["_secure_key"], headers["X-API-Key"]) == ("1", "2")
    assert headers["Authorization"] == "Bearer 3"
    assert headers.get_list("X-Forwarded-For") == ["127.0.0.1"]
    assert {"Forwarded", "X-Forwarded-Host", "Upgrade", "Connection"}.isdisjoint(headers)
    assert re.fullmatch("[0-9a-f]{32}", headers["X-Request-ID"])
    assert parse(answer)[1]["X-Request-ID"] == headers["X-Request-ID"]
    assert (logged["upstream"], logged["upstream_status"]) == (upstream.address, "200")
    assert float(logged["upstream_duration"]) >= 0


def test_the_connection_to_the_service_is_kept(tmp_path: Path) -> None:
    with replica("answer") as upstream, proxy(tmp_path / "state", [upstream.address]) as front:
        for _ in range(5):
            httpx.get(front.url, headers=FAKE)

        assert (len(upstream.requests), upstream.connections) == (5, 1)


def test_no_replica_is_a_503_that_says_when_to_come_again(tmp_path: Path) -> None:
    gone = [f"127.0.0.1:{refusing_port()}" for _ in range(2)]
    with proxy(tmp_path / "state", gone) as front:
        for method in (b"GET", b"PUT", b"POST", b"DELETE"):
            answer = front.raw(head(method + b" /item/1 HTTP/1.1", b"Content-Length: 0"))
            headers = check_error(answer, 503, "Unavailable")

            assert headers["Retry-After"] == "1"
            assert front.wait_for_log(headers["X-Request-ID"])["method"] == method.decode()


def test_a_stream_to_no_replica_is_a_503(tmp_path: Path) -> None:
    with proxy(tmp_path / "state", [f"127.0.0.1:{refusing_port()}"]) as front:
        sent = head(b"POST /item HTTP/1.1", b"Transfer-Encoding: chunked")

        check_error(front.raw(sent + b"1\r\n{\r\n"), 503, "Unavailable")


def test_a_silent_service_is_a_504(tmp_path: Path) -> None:
    with (
        replica("hang") as upstream,
        proxy(tmp_path / "state", [upstream.address], NGINX_TIMEOUT="1") as front,
    ):
        for method in (b"GET", b"POST", b"DELETE"):
            answer = front.raw(head(method + b" /item/1 HTTP/1.1", b"Content-Length: 0"))
            check_error(answer, 504, "DeadlineExceeded")
        assert len(upstream.requests) == 3


@pytest.mark.parametrize("line", [b"DELETE /item/1", b"PUT /item/1", b"POST /item"])
@pytest.mark.parametrize("length", [99_999, 100_000, 1_000_000])
def test_nginx_stores_no_body_in_a_file(tmp_path: Path, line: bytes, length: int) -> None:
    with (
        replica("answer") as upstream,
        proxy(tmp_path / "state", [upstream.address]) as front,
        front.connect() as connection,
    ):
        shutil.rmtree(tmp_path / "state" / "nginx" / "client_body")
        (tmp_path / "state" / "nginx" / "client_body").write_text("No folder.")
        sent = head(line + b" HTTP/1.1", CONDITION, b"Content-Length: %d" % length)
        connection.sendall(sent + b" " * length)

        assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")


@pytest.mark.error("429 TooManyRequests")
@pytest.mark.limit("RATE")
def test_too_many_requests_of_a_client_are_a_429(tmp_path: Path) -> None:
    with (
        replica("answer") as upstream,
        proxy(tmp_path / "state", [upstream.address], NGINX_RATE_LIMIT="5") as front,
    ):
        answers = [front.raw(head(b"GET / HTTP/1.1")) for _ in range(12)]

        assert parse(answers[0])[0] == 200
        assert check_error(answers[-1], 429, "TooManyRequests")["Retry-After"] == "1"
        assert 6 <= len(upstream.requests) < 12


def test_a_429_closes_the_connection_whatever_else_was_sent_on_it(tmp_path: Path) -> None:
    with (
        replica("answer") as upstream,
        proxy(tmp_path / "state", [upstream.address], NGINX_RATE_LIMIT="1") as front,
        front.connect() as connection,
    ):
        connection.settimeout(10)
        # Fewer bytes than a buffer of nginx has, so all of them have been read.
        connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n" * 20)
        answers = b""
        while data := connection.recv(65536):
            answers += data

    assert answers.count(b"HTTP/1.1 200 ") == len(upstream.requests) > 0
    assert answers.count(b"HTTP/1.1 429 ") == 1
    assert b"Connection: close" in answers.partition(b"HTTP/1.1 429 ")[2]


@pytest.mark.limit("CLIENT_REQUESTS")
def test_too_many_requests_at_once_of_a_client_are_a_429(tmp_path: Path) -> None:
    with (
        replica("hang") as upstream,
        proxy(tmp_path / "state", [upstream.address], NGINX_CONNECTION_LIMIT="2") as front,
        ExitStack() as held,
    ):
        for _ in range(2):
            held.enter_context(front.connect()).sendall(head(b"GET / HTTP/1.1"))
        wait_for_requests(upstream, 2)
        headers = check_error(front.raw(head(b"GET / HTTP/1.1")), 429, "TooManyRequests")

        assert headers["Retry-After"] == "1"


LARGE = {
    "large bodies": head(b"POST /item HTTP/1.1\r\nContent-Length: 100000"),
    "bodies of unknown length": head(b"POST /item HTTP/1.1\r\nTransfer-Encoding: chunked"),
    "large bodies of DELETE": head(b"DELETE /item/1 HTTP/1.1\r\nContent-Length: 100000"),
    "large bodies under a condition": head(
        b'PUT /item/1 HTTP/1.1\r\nIf-Match: "1"\r\nContent-Length: 100000'
    ),
    "large answers": head(b"GET /docs/part.js HTTP/1.1"),
}


@pytest.mark.limit("CLIENT_LARGE_REQUESTS", "LARGE_REQUESTS")
@pytest.mark.parametrize("most", [{"NGINX_CLIENT_LARGE": "2"}, {"NGINX_LARGE": "2"}], ids=str)
@pytest.mark.parametrize("name", LARGE)
def test_large_requests_leave_connections_of_the_service_for_others(
    tmp_path: Path, name: str, most: dict[str, str]
) -> None:
    with (
        replica("hang") as upstream,
        proxy(tmp_path / "state", [upstream.address], **most) as front,
        ExitStack() as held,
    ):
        for _ in range(2):
            held.enter_context(front.connect()).sendall(LARGE[name])
        wait_for_requests(upstream, 2)
        headers = check_error(front.raw(LARGE[name]), 503, "Unavailable")
        held.enter_context(front.connect()).sendall(head(b"GET /item HTTP/1.1"))
        wait_for_requests(upstream, 3)

        assert headers["Retry-After"] == "1"


@pytest.mark.limit("CLIENT_REQUESTS")
@pytest.mark.parametrize("usual", [0, 1, 2])
@pytest.mark.parametrize("name", LARGE)
def test_large_requests_count_among_all_those_of_a_client(
    tmp_path: Path, name: str, usual: int
) -> None:
    most = {"NGINX_CONNECTION_LIMIT": "2", "NGINX_CLIENT_LARGE": "2"}
    with (
        replica("hang") as upstream,
        proxy(tmp_path / "state", [upstream.address], **most) as front,
        ExitStack() as held,
    ):
        for sent in [head(b"GET /item HTTP/1.1")] * usual + [LARGE[name]] * (2 - usual):
            held.enter_context(front.connect()).sendall(sent)
        wait_for_requests(upstream, 2)
        large = check_error(front.raw(LARGE[name]), 503, "Unavailable")
        other = check_error(front.raw(head(b"GET /item HTTP/1.1")), 429, "TooManyRequests")
        lines = [front.wait_for_log(headers["X-Request-ID"]) for headers in (large, other)]

    assert [line["limits"] for line in lines] == ["PASSED/REJECTED"] * 2
    assert len(upstream.requests) == 2


def test_the_zones_are_large_enough_for_any_page_of_memory() -> None:
    """nginx refuses a zone of less than eight pages, which have up to 64 KiB."""
    files = (nginx.TEMPLATE, ROOT / "compose.yaml", ROOT / "ops" / "containers" / "upstream.py")
    zones = [
        (int(number), unit)
        for file in files
        for number, unit in re.findall(r"\bzone[= ]\w+[: ](\d+)([km])\b", file.read_text())
    ]

    assert len(zones) == 6
    assert all(number << {"k": 10, "m": 20}[unit] >= 8 << 16 for number, unit in zones)


START_SH = ROOT / "nginx" / "start.sh"


@pytest.mark.parametrize(
    ("connection_limit", "max_connections", "client_large", "large"),
    [(100, 500, "25", "250"), (33, 501, "9", "250"), (32, 10, "8", "5"), (1, 11, "8", "5")],
)
def test_the_container_works_out_the_values_of_the_local_stack(
    tmp_path: Path, connection_limit: int, max_connections: int, client_large: str, large: str
) -> None:
    settings = Settings(
        connection_limit=connection_limit,
        max_connections=max_connections,
        request_timeout=37.5,
        cors_origins=("http://a.example", "https://b.example:8443"),
        path_prefix="/api",
        trusted_proxies=("10.0.0.0/8", "::1/128"),
    )
    environment = {
        "CORS_ORIGINS": "http://a.example, https://b.example:8443",
        "DATABASE_STATEMENT_TIMEOUT": str(settings.database_statement_timeout),
        "MAX_BODY_BYTES": str(settings.max_body_bytes),
        "MAX_CONNECTIONS": str(max_connections),
        "MAX_IMPORT_BYTES": str(settings.max_import_bytes),
        "NGINX_CONNECTION_LIMIT": str(connection_limit),
        "NGINX_KEEP_ALIVE": str(settings.keep_alive_timeout),
        "NGINX_RATE_LIMIT": str(settings.rate_limit),
        "PATH": f"{tmp_path}:/usr/bin:/bin",
        "PATH_PREFIX": "/api",
        "REQUEST_TIMEOUT": "37.5",
        "TRUSTED_PROXIES": "10.0.0.0/8, ::1/128",
    }
    # Instead of the image's two commands and its folder.
    for name, command in {"envsubst": "exec env -0", "nginx": "exit 0"}.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{command}\n")
        (tmp_path / name).chmod(0o755)
    script = tmp_path / START_SH.name
    script.write_text(START_SH.read_text().replace("/tmp/", f"{tmp_path}/"))  # noqa: S108
    script.with_name(nginx.TEMPLATE.name).touch()
    subprocess.run(["sh", script, "check"], env=environment, check=True)
    lines = (tmp_path / "nginx.conf.new").read_text().split("\0")
    rendered = dict(line.split("=", 1) for line in lines if line.startswith("NGINX_"))

    assert rendered == nginx.values(settings) | {"NGINX_STATUS": ""}
    assert (rendered["NGINX_CLIENT_LARGE"], rendered["NGINX_LARGE"]) == (client_large, large)


def test_the_limits_of_large_requests_are_those_that_nginx_gets() -> None:
    values = nginx.values(Settings())

    assert values["NGINX_CLIENT_LARGE"] == str(limits.CLIENT_LARGE_REQUESTS.value)
    assert values["NGINX_LARGE"] == str(limits.LARGE_REQUESTS.value)


def test_an_answer_may_have_long_links(tmp_path: Path) -> None:
    with (
        replica("links") as upstream,
        proxy(tmp_path / "state", [upstream.address]) as front,
    ):
        status, headers, _ = parse(front.raw(head(b"GET /item HTTP/1.1")))

    assert status == 200
    assert headers["Link"].encode() == LINKS


def test_the_kernel_keeps_little_of_an_answer_that_its_client_does_not_read(
    tmp_path: Path,
) -> None:
    with (
        replica("large") as upstream,
        proxy(tmp_path / "state", [upstream.address]) as front,
        socket.socket() as client,
    ):
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect(("127.0.0.1", front.port))
        client.sendall(head(b"GET /item HTTP/1.1"))
        kept = [0]
        # It grows with each packet that the client's kernel takes, and ends at its bound.
        while not kept[-1] or len(set(kept[-50:])) > 1:
            kept.append(unsent(front.port))
            time.sleep(0.01)  # Between two looks, not instead of one.

    assert 0 < kept[-1] < 300_000


def unsent(port: int) -> int:
    """Return how many bytes the kernel keeps to be sent from a port."""
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    queues = [queue for _, local, _, _, queue, *_ in lines if int(local.split(":")[1], 16) == port]
    return sum(int(queue.split(":")[0], 16) for queue in queues)


SECRET = b"very-secret"
# Each is answered by nginx itself, or passed on; all have a query string and a referrer.
LOGGED = {
    "an answer of the service": ("answer", b"GET /item?email=%b HTTP/1.1", 200),
    "a fragment": ("answer", b"GET /item#%b HTTP/1.1", 200),
    "no replica": ("", b"GET /item?email=%b HTTP/1.1", 503),
    "a replica that closes": ("close", b"POST /item?email=%b HTTP/1.1", 503),
    "a replica that is silent": ("hang", b"GET /item?email=%b HTTP/1.1", 504),
    "too long a body": ("", b"POST /item?email=%b HTTP/1.1\r\nContent-Length: 99999999999", 413),
    "an internal page": ("", b"GET /_error?email=%b HTTP/1.1", 404),
    "a wrong version": ("", b"GET /item?email=%b HTTP/3.7", 505),
    "a space": ("", b"GET /item?email=a %b HTTP/1.1\r\nContent-Length: x", 400),
}


@pytest.mark.parametrize("name", LOGGED)
def test_no_log_has_a_value_of_a_query_string(tmp_path: Path, name: str) -> None:
    behaviour, line, status = LOGGED[name]
    with (
        replica(behaviour) as upstream,
        proxy(
            tmp_path / "state",
            [upstream.address if behaviour else f"127.0.0.1:{refusing_port()}"],
            NGINX_TIMEOUT="1",
        ) as front,
    ):
        # The replica closes its connection with the request, and nginx logs the next one too.
        sent = head(line % SECRET, b"Referer: http://a.example/?b=" + SECRET, b"X-Request-ID: mine")
        answer = front.raw(sent)
        logged = front.wait_for_log(parse(answer)[1].get("X-Request-ID", "mine"))
    written = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]

    assert parse(answer)[0] == logged["status"] == status
    assert logged["uri"] in {"/item", "/_error", ""}
    assert not any(SECRET in text for text in written)


@pytest.mark.parametrize(
    ("length", "logged"), [(999, 1000), (1000, 1000)], ids=["as long as", "longer than"]
)
def test_the_log_has_the_beginning_of_a_long_path(
    answering: tuple[Proxy, Replica], length: int, logged: int
) -> None:
    front, _ = answering
    path = b"/" + b"a" * length
    request_id = f"path-{length}"
    front.raw(head(b"GET " + path + b" HTTP/1.1", b"X-Request-ID: " + request_id.encode()))

    assert front.wait_for_log(request_id)["uri"] == path[:logged].decode()


# What was sent, and what is logged.
AGENTS = {
    "none": (b"", ""),
    "ASCII": (b'curl/8 "a\\b"', 'curl/8 "a\\b"'),
    "UTF-8": ("Müller/1 € 𝄞 \ufffd".encode(), "Müller/1 € 𝄞 \ufffd"),
    "as long as the bound": (b"a" * 200, "a" * 200),
    "longer": (b"a" * 201, "a" * 200),
    "cut within a character": ("é".encode() * 99 + "€€".encode(), "é" * 99),
    "Latin-1": (b"M\xfcller/1", "M"),
    "a character in more bytes than it needs": (b"a\xc0\xaf\xe0\x80\xaf", "a"),
    "half of a pair": (b"a\xed\xa0\x80", "a"),
    "beyond Unicode": (b"a\xf4\x90\x80\x80", "a"),
    "a control character": (b"a\tb", "a"),
    "a control character beyond ASCII": (b"a\xc2\x9bb", "a"),
}


@pytest.mark.parametrize("name", AGENTS)
def test_the_log_has_the_beginning_of_a_user_agent_in_utf_8(
    answering: tuple[Proxy, Replica], name: str
) -> None:
    front, _ = answering
    agent, logged = AGENTS[name]
    request_id = "agent-" + name.replace(" ", ".")
    front.raw(
        head(b"GET / HTTP/1.1", b"User-Agent: " + agent, b"X-Request-ID: " + request_id.encode())
    )

    assert front.wait_for_log(request_id)["user_agent"] == logged


def test_the_log_names_the_limit_that_refused_a_request(tmp_path: Path) -> None:
    with (
        replica("answer") as upstream,
        proxy(tmp_path / "state", [upstream.address], NGINX_RATE_LIMIT="1") as front,
    ):
        for _ in range(4):
            answer = front.raw(head(b"GET /item?email=very-secret HTTP/1.1"))
        line = front.wait_for_log(parse(answer)[1]["X-Request-ID"])

    assert (line["status"], line["limits"]) == (429, "REJECTED/")
    assert "very-secret" not in (tmp_path / "state" / "error.log").read_text()


CONDITION = b'If-Match: "1"'
# How often a request reaches a replica where two read it and close the connection: what is safe
# is tried once more, for nginx ends its search when the list of replicas changes.
REACHED = {
    (b"GET", b""): 3,
    (b"GET", b'If-None-Match: "1"'): 3,
    (b"HEAD", b""): 3,
    (b"OPTIONS", b""): 3,
    (b"PUT", b""): 2,
    (b"PUT", CONDITION): 1,
    (b"PUT", b"If-None-Match: *"): 1,
    (b"PUT", b"If-Unmodified-Since: Mon, 23 Nov 2026 05:00:00 GMT"): 1,
    (b"PATCH", b""): 1,
    (b"PATCH", CONDITION): 1,
    (b"POST", b""): 1,
    (b"DELETE", b""): 1,
    (b"DELETE", CONDITION): 1,
}


def is_once(method: bytes, condition: bytes) -> bool:
    return method == b"DELETE" or (method == b"PUT" and condition != b"")


def request(method: bytes, condition: bytes) -> bytes:
    more = [condition] if condition else []
    if method in {b"GET", b"HEAD", b"OPTIONS", b"DELETE"}:
        return head(method + b" /item/7?a=b HTTP/1.1", *more)
    return head(method + b" /item/7?a=b HTTP/1.1", *more, b"Content-Length: 2") + b"{}"


@pytest.fixture(scope="module")
def breaking(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Proxy, list[bytes]]]:
    """Return nginx before two replicas that break off, and what reached them."""
    reached: list[bytes] = []
    with replica("close") as one, replica("close") as two:
        one.requests = two.requests = reached
        with proxy(tmp_path_factory.mktemp("breaking"), [one.address, two.address]) as front:
            yield front, reached


@pytest.mark.parametrize(("method", "condition"), REACHED)
def test_only_repeatable_requests_are_sent_again(
    breaking: tuple[Proxy, list[bytes]], method: bytes, condition: bytes
) -> None:
    front, reached = breaking
    for _ in range(3):
        reached.clear()
        answer = front.raw(request(method, condition))

        assert parse(answer)[0] == 503
        assert len(reached) == REACHED[method, condition]


@pytest.mark.parametrize(("method", "condition"), REACHED)
def test_a_safe_request_to_a_replica_that_was_killed_is_retried_until_another_is_found(
    tmp_path: Path, method: bytes, condition: bytes
) -> None:
    lines = b"\r\n".join(filter(None, [b"X-Request-ID: killed", condition]))
    # As if nginx had not learned yet that it is gone: all retries are for it.
    with replica("end") as upstream, proxy(tmp_path / "state", [upstream.address]) as front:
        assert parse(front.raw(request(method, lines)))[0] == 503
        attempts = front.wait_for_log("killed")["upstream_status"].split(" : ")

    assert len(upstream.requests) == 1
    assert len(attempts) == (4 if method in {b"GET", b"HEAD", b"OPTIONS"} else 1)


@pytest.fixture(scope="module")
def failing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Proxy, Replica]]:
    """Return nginx before a replica that answers and two that are gone."""
    gone = [f"127.0.0.1:{refusing_port()}" for _ in range(2)]
    state = tmp_path_factory.mktemp("failing")
    with replica("answer") as upstream, proxy(state, [*gone, upstream.address]) as front:
        yield front, upstream


@pytest.mark.parametrize(("method", "condition"), REACHED)
def test_a_request_that_was_never_sent_is_retried_on_another_replica(
    failing: tuple[Proxy, Replica], method: bytes, condition: bytes
) -> None:
    front, upstream = failing
    for _ in range(4):
        upstream.requests.clear()
        answer = front.raw(request(method, condition))

        assert parse(answer)[0] == 200, answer
        assert len(upstream.requests) == 1
        assert upstream.requests[0].startswith(method + b" /item/7?a=b HTTP/1.1\r\n")


@pytest.mark.parametrize(
    ("method", "condition"),
    [pair for pair in REACHED if pair[0] in {b"POST", b"PUT", b"PATCH"} and not is_once(*pair)],
)
def test_a_body_in_parts_goes_whole_to_the_replica_that_is_there(
    failing: tuple[Proxy, Replica], method: bytes, condition: bytes
) -> None:
    assert statuses_of_three(failing[0], method, condition) == [200, 200, 200]


@pytest.mark.parametrize(("method", "condition"), [pair for pair in REACHED if is_once(*pair)])
def test_a_long_body_that_may_be_sent_only_once_goes_to_one_replica(
    failing: tuple[Proxy, Replica], method: bytes, condition: bytes
) -> None:
    front, upstream = failing
    upstream.requests.clear()

    # Of the three replicas, two are gone.
    assert sorted(statuses_of_three(front, method, condition)) == [200, 503, 503]
    assert len(upstream.requests) == 1


def statuses_of_three(front: Proxy, method: bytes, condition: bytes) -> list[int]:
    """Send a body in two parts, three times."""
    part = b"0123456789" * 5_000
    lines = [condition] if condition else []
    sent = head(method + b" /item/7 HTTP/1.1", *lines, b"Content-Length: %d" % (2 * len(part)))
    statuses = []
    for _ in range(3):
        with front.connect() as connection:
            connection.sendall(sent)
            connection.sendall(part)
            time.sleep(0.02)  # The client's own pause.
            connection.sendall(part)
            statuses.append(parse(connection.recv(65536))[0])
    return statuses


def test_a_stream_flows(tmp_path: Path) -> None:
    with (
        replica("stream") as upstream,
        proxy(tmp_path / "state", [upstream.address]) as front,
        httpx.stream("GET", f"{front.url}/item", headers=FAKE) as answer,
    ):
        # The replica sends no more, nor does it end the answer.
        assert next(answer.iter_text()) == "[1]\n"


@pytest.mark.parametrize("body", [b"Content-Length: 100000", b"Transfer-Encoding: chunked"])
@pytest.mark.parametrize(
    ("method", "condition"), [pair for pair in REACHED if pair[0] not in {b"GET", b"HEAD"}]
)
def test_an_upload_flows(
    answering: tuple[Proxy, Replica], method: bytes, condition: bytes, body: bytes
) -> None:
    front, upstream = answering
    upstream.requests.clear()
    with front.connect() as connection:
        lines = [condition, body] if condition else [body]
        connection.sendall(head(method + b" /item/7 HTTP/1.1", *lines) + b"1\r\n{\r\n")

        # The service has the request although most of its body is still to come.
        assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")
        assert len(upstream.requests) == 1


@pytest.fixture(scope="module")
def backend(tmp_path_factory: pytest.TempPathFactory, database_url: str) -> Iterator[Service]:
    """Return a real service with tight limits."""
    limits = {"MAX_BODY_BYTES": str(MAX_BODY_BYTES), "REQUEST_TIMEOUT": "1"}
    with running(tmp_path_factory.mktemp("service"), database_url, **limits) as service:
        yield service


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory, backend: Service) -> Iterator[Proxy]:
    """Return nginx before the real service."""
    with proxy(tmp_path_factory.mktemp("front"), [f"127.0.0.1:{backend.port}"]) as front:
        yield front


@pytest.fixture
def http(front: Proxy, empty_database: None) -> Iterator[httpx.Client]:
    """Return a client that has the key and accepts gzip, on empty tables."""
    headers = {"_secure_key": KEY, "Accept-Encoding": "gzip"}
    with httpx.Client(base_url=front.url, headers=headers) as client:
        yield client


def test_an_entity_tag_stays_strong_for_a_client_that_accepts_gzip(http: httpx.Client) -> None:
    # Long enough to be worth it.
    url = http.post("/item", json=item() | {"name": "é" * 200}).headers["Location"]
    found = http.get(url)
    changed = http.put(url, json={"name": "Zed"}, headers={"If-Match": found.headers["ETag"]})
    stale = http.put(url, json={"name": "Zoe"}, headers={"If-Match": found.headers["ETag"]})

    assert found.headers["ETag"].startswith('"')
    assert "Content-Encoding" not in found.headers
    assert (changed.status_code, stale.status_code) == (200, 412)
    assert http.delete(url, headers={"If-Match": changed.headers["ETag"]}).status_code == 200


def test_a_list_is_compressed(http: httpx.Client) -> None:
    for number in range(20):
        http.post("/item", json=item() | {"email": f"a{number}@example.org"})
    found = http.get("/item", params={"limit": 20})

    assert found.headers["Content-Encoding"] == "gzip"
    assert "ETag" not in found.headers
    assert "Accept-Encoding" in found.headers["Vary"]
    assert len(found.json()) == 20


def test_a_page_is_compressed_only_while_few_requests_are_in_progress(tmp_path: Path) -> None:
    found = []
    with (
        replica("tag") as upstream,
        proxy(tmp_path / "state", [upstream.address]) as front,
        ExitStack() as held,
    ):
        for number in range(FEW + 2):
            headers = FAKE | {"Accept-Encoding": "gzip", "X-Request-ID": f"page-{number}"}
            found.append(httpx.get(f"{front.url}/item", headers=headers))
            # It is no longer in progress when it is in the log.
            front.wait_for_log(f"page-{number}")
            held.enter_context(front.connect()).sendall(head(SLOW + b"HTTP/1.1"))
            wait_for_requests(upstream, 2 * (number + 1))

    encodings = [answer.headers.get("Content-Encoding") for answer in found]
    assert encodings == ["gzip"] * FEW + [None] * 2
    assert {answer.content for answer in found} == {b" " * 9000}
    for answer in found:
        for name in ("Content-Encoding", "Content-Length", "Transfer-Encoding"):
            answer.headers.pop(name, None)
        del answer.headers["Date"], answer.headers["X-Request-ID"]
        assert answer.headers == found[0].headers
        assert "ETag" not in answer.headers
        assert answer.headers.get_list("Vary", split_commas=True).count("Accept-Encoding") == 1


@pytest.mark.parametrize("path", ["/", "/item", "/item/7", "/item/7/", "/item/7/notes", "/a/1/b/2"])
def test_nothing_that_is_compressed_has_an_entity_tag(tmp_path: Path, path: str) -> None:
    with replica("tag") as upstream, proxy(tmp_path / "state", [upstream.address]) as front:
        for method in ("GET", "PUT", "PATCH", "DELETE", "POST"):
            headers = FAKE | {"Accept-Encoding": "gzip"}
            answer = httpx.request(method, front.url + path, headers=headers)
            is_collection = path in {"/item", "/item/7/notes"}

            assert answer.headers.get("ETag") in {None, '"1"'}
            assert ("Content-Encoding" in answer.headers) != ("ETag" in answer.headers)
            assert ("ETag" not in answer.headers) == (is_collection and method == "GET")


@pytest.mark.parametrize("prefix", ["", "/api", "/a/b"])
def test_a_record_has_its_entity_tag_below_a_path_prefix_too(tmp_path: Path, prefix: str) -> None:
    state = tmp_path / "state"
    with (
        replica("tag") as upstream,
        proxy(state, [upstream.address], NGINX_PATH_PREFIX=prefix) as front,
    ):
        headers = FAKE | {"Accept-Encoding": "gzip"}
        for path in ("/item", "/item/7/notes", f"{prefix}/item", f"{prefix}/item/7/notes"):
            assert "Content-Encoding" in httpx.get(front.url + path, headers=headers).headers
        for path in (f"{prefix}/item/7", f"{prefix}/a/1/b/2"):
            assert httpx.get(front.url + path, headers=headers).headers["ETag"] == '"1"'


def test_a_created_record_has_its_entity_tag(http: httpx.Client) -> None:
    assert http.post("/item", json=item()).headers["ETag"] == '"1"'


def test_an_answer_of_the_service_is_its_own(http: httpx.Client, front: Proxy) -> None:
    missing = http.get("/item/99", headers={"X-Request-ID": "mine"})
    unknown = http.get("/nowhere")

    assert check_envelope(missing.json(), missing.headers, 404, "RecordNotFound")
    assert "`/nowhere`" in unknown.json()["error"]["message"]
    assert missing.headers.get_list("X-Request-ID") == ["mine"]
    assert missing.headers["X-Content-Type-Options"] == "nosniff"
    assert front.wait_for_log("mine")["upstream_status"] == "404"


def test_a_stream_that_stalls_is_the_408_of_the_service(front: Proxy, http: httpx.Client) -> None:
    key = f"X-API-Key: {KEY}".encode()
    for method, path in ((b"POST", b"/item"), (b"PUT", b"/item/1")):
        sent = head(
            method + b" " + path + b" HTTP/1.1",
            key,
            b"Content-Type: application/json",
            b"Transfer-Encoding: chunked",
        )
        check_error(front.raw(sent + b"1\r\n{\r\n"), 408, "RequestTimeout")


def test_a_request_that_stalls_reaches_no_replica(tmp_path: Path) -> None:
    short = {"NGINX_TIMEOUT": "1", "header_timeout": "1s"}
    with (
        replica("answer") as upstream,
        proxy(tmp_path / "state", [upstream.address], **short) as front,
    ):
        assert front.raw(b"GET / HTTP/1.1\r\nHost:") == b""
        assert front.raw(head(b"POST / HTTP/1.1", b"Content-Length: 100") + b"{") == b""
        assert upstream.requests == []


LONG = {
    "chunked": (b"Transfer-Encoding: chunked", b"2\r\n{}\r\n0\r\n\r\n"),
    "100 kB": (b"Content-Length: 100000", b" " * 100_000),
    "1 MB": (b"Content-Length: 1000000", b" " * 1_000_000),
}


@pytest.mark.parametrize("body", LONG)
@pytest.mark.parametrize(("method", "condition"), [pair for pair in REACHED if is_once(*pair)])
def test_a_long_body_that_may_be_sent_only_once_is(
    breaking: tuple[Proxy, list[bytes]], method: bytes, condition: bytes, body: str
) -> None:
    front, reached = breaking
    reached.clear()
    line, content = LONG[body]
    lines = [condition, line] if condition else [line]
    answer = front.raw(head(method + b" /item/7 HTTP/1.1", *lines) + content)

    assert check_error(answer, 503, "Unavailable")["Retry-After"] == "1"
    assert len(reached) == 1


def test_large_bodies_that_are_not_read_harm_no_other_request(
    front: Proxy, http: httpx.Client
) -> None:
    body = b" " * 1_000_000

    def post(number: int) -> int:
        if number % 2:
            return httpx.get(f"{front.url}/item", headers={"X-API-Key": KEY}).status_code
        return httpx.post(f"{front.url}/item", content=body).status_code

    with ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(post, range(80)))

    assert statuses == [401, 200] * 40


def test_a_reload_loses_no_request(front: Proxy, http: httpx.Client) -> None:
    stop = threading.Event()
    statuses: list[int] = []

    def load() -> None:
        # A new connection each time: 1.22 has no `keepalive_min_timeout`.
        while not stop.is_set():
            statuses.append(httpx.get(f"{front.url}/livez").status_code)

    with ThreadPoolExecutor(4) as pool:
        loads = [pool.submit(load) for _ in range(4)]
        for _ in range(3):
            front.process.send_signal(1)
            time.sleep(0.3)  # The time in which it reloads.
        stop.set()
        for each in loads:
            each.result()

    assert set(statuses) == {200}


def test_the_settings_reach_the_configuration(tmp_path: Path) -> None:
    sizes = Settings(max_body_bytes=1, max_import_bytes=9)
    others = {"rate_limit": 77, "connection_limit": 33, "request_timeout": 90}
    others |= {"keep_alive_timeout": 620}
    settings = sizes.model_copy(update=others | {"trusted_proxies": ("10.0.0.0/8", "::1/128")})
    state = tmp_path / ODD
    state.mkdir()
    nginx.prepare(settings, state, [f"127.0.0.1:{free_port()}"], "127.0.0.1:5000")
    text = (state / "nginx" / "nginx.conf").read_text()

    assert "rate=77r/s" in text
    assert "burst=77 " in text
    assert "limit_conn connections 33;" in text
    general, _, streamed = text.partition("location /_streamed/ {")
    assert "proxy_read_timeout 110s;" in general
    # An import is answered when all of its records are stored.
    assert "proxy_read_timeout 1h;" in streamed.partition("}")[0]
    assert f"client_max_body_size {9 + nginx.MARGIN_BYTES};" in text
    assert " keepalive_timeout 620s;" in text
    assert "set_real_ip_from 10.0.0.0/8;\nset_real_ip_from ::1/128;\n" in text
    assert "${" not in text.split("worker_processes")[1]
    assert str(tmp_path) not in text


# As a separate process, which can't raise its limit again unless it is root's.
START = """
import os, sys
from pathlib import Path
from ops.local import nginx
from service.settings import Settings
command = nginx.prepare(Settings(), Path(sys.argv[1]), [sys.argv[2]], "127.0.0.1:5000")
os.execv(command[0], command)
"""


def test_a_low_limit_of_open_files_is_kept_without_a_message(tmp_path: Path) -> None:
    address = f"127.0.0.1:{(port := free_port())}"
    limited = ["sh", "-c", 'ulimit -Sn 100; ulimit -Hn 200; exec "$@"', "sh"]
    command = [*limited, sys.executable, "-c", START, str(tmp_path), address]
    with (tmp_path / "error.log").open("wb") as errors:
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=errors)
    try:
        wait_until_listening(process, port, tmp_path / "error.log")
    finally:
        process.terminate()
        process.wait(SECONDS)
    text = (tmp_path / "nginx" / "nginx.conf").read_text()

    assert (tmp_path / "error.log").read_text() == ""
    assert "worker_rlimit_nofile 200;" in text
    assert "worker_connections 100;" in text


@pytest.mark.parametrize(
    ("hard", "files"), [(resource.RLIM_INFINITY, 32768), (32769, 32768), (32767, 32767)]
)
def test_nginx_opens_as_many_files_as_it_needs(
    monkeypatch: pytest.MonkeyPatch, hard: int, files: int
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (1024, hard))
    values = nginx.values(Settings())

    assert int(values["NGINX_OPEN_FILES"]) == files
    assert int(values["NGINX_CONNECTIONS"]) == files // 2


RECORDS = 30_000
KILL = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE pid <> pg_backend_pid() AND query LIKE '%to_char(timezone(%'
"""


def test_a_file_goes_in_and_comes_out_as_it_was(http: httpx.Client) -> None:
    lines = "".join(f"{json.dumps(item(name='é' * 50))}\n" for _ in range(2000)).encode()
    created = http.post("/item", content=lines, headers={"Content-Type": "application/x-ndjson"})
    found = http.get("/item?only=name,email", headers={"Accept": "application/x-ndjson"})

    assert created.json() == {"created": 2000}
    assert [json.loads(line) for line in found.iter_lines()] == [
        json.loads(line) for line in lines.splitlines()
    ]


@pytest.mark.parametrize("media_type", ["application/x-ndjson", "text/csv"])
def test_an_export_is_not_compressed(http: httpx.Client, media_type: str) -> None:
    """Compression blocks the only worker of nginx for every other request."""
    for number in range(20):
        http.post("/item", json=item() | {"email": f"a{number}@example.org"})
    found = http.get("/item", headers={"Accept": media_type})

    assert found.headers["Content-Type"].startswith(media_type)
    assert "Content-Encoding" not in found.headers
    assert len(found.content) > 1024


async def test_a_stream_that_fails_midway_is_no_whole_file(
    front: Proxy, engine: AsyncEngine, empty_database: None
) -> None:
    fill = "INSERT INTO item (name, email) SELECT repeat('n', 200), n || '@example.org'"
    async with engine.begin() as connection:
        await connection.execute(
            text(f"{fill} FROM generate_series(1, :records) AS n"), {"records": RECORDS}
        )
    # Compressed, all of it would be in buffers.
    headers = {"_secure_key": KEY, "Accept": "text/csv", "Accept-Encoding": "identity"}
    async with (
        httpx.AsyncClient(headers=headers) as client,
        client.stream("GET", f"{front.url}/item") as response,
    ):
        chunks = response.aiter_raw(1000)
        first = await anext(chunks)
        async with engine.connect() as connection:
            await connection.execute(text(KILL))
        with pytest.raises(httpx.RemoteProtocolError):
            _ = [chunk async for chunk in chunks]

    assert response.status_code == 200
    assert len(first) == 1000


def test_a_path_may_have_any_printable_character(tmp_path: Path) -> None:
    with replica("answer") as upstream, proxy(tmp_path / ODD, [upstream.address]) as front:
        body = b" " * 200_000
        sent = head(b"PUT / HTTP/1.1", b"Content-Length: %d" % len(body))

        assert parse(front.raw(sent + body))[0] == 200
        assert (front.state / "nginx" / "nginx.pid").exists()


def test_the_service_alone_says_how_to_keep_its_answers(tmp_path: Path) -> None:
    with replica("kept") as upstream, proxy(tmp_path / "state", [upstream.address]) as front:
        kept = httpx.get(front.url, headers=FAKE)
    with replica("answer") as upstream, proxy(tmp_path / "other", [upstream.address]) as front:
        found = httpx.get(front.url, headers=FAKE)

    assert kept.headers.get_list("Cache-Control") == ["private, no-cache"]
    assert "Cache-Control" not in found.headers


def test_an_idle_connection_is_closed_after_the_time_that_is_set(tmp_path: Path) -> None:
    with (
        replica("answer") as upstream,
        proxy(tmp_path / "state", [upstream.address], NGINX_KEEP_ALIVE="1") as front,
        front.connect() as connection,
    ):
        connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        parts = list(iter(lambda: connection.recv(65536), b""))

    # Closed by nginx, and much earlier than by default, when this client would have given up.
    assert parse(b"".join(parts))[0] == 200


TRUSTED = "127.0.0.2"
TRUSTING = {"NGINX_TRUSTED_PROXIES": f"set_real_ip_from {TRUSTED};", "NGINX_CONNECTION_LIMIT": "1"}
needs_another_loopback = pytest.mark.skipif(
    not ports.has_address(TRUSTED), reason=f"this machine has no {TRUSTED}"
)


@contextmanager
def sent_from(front: Proxy, sender: str, forwarded: str) -> Iterator[socket.socket]:
    """Send a request with `X-Forwarded-For` from an address of this machine."""
    at = ("127.0.0.1", front.port)
    with socket.create_connection(at, timeout=SECONDS, source_address=(sender, 0)) as connection:
        name = re.sub("[, ]+", "-", forwarded).encode()
        lines = (b"X-Forwarded-For: " + forwarded.encode(), b"X-Request-ID: " + name)
        connection.sendall(head(b"GET / HTTP/1.1", *lines))
        yield connection


def wait_for_requests(upstream: Replica, count: int) -> None:
    deadline = time.monotonic() + SECONDS
    while len(upstream.requests) < count:
        assert time.monotonic() < deadline
        time.sleep(0.01)  # Between two looks, not instead of one.


@needs_another_loopback
def test_clients_behind_a_trusted_proxy_have_limits_of_their_own(tmp_path: Path) -> None:
    with (
        replica("hang") as upstream,
        proxy(tmp_path / "state", [upstream.address], **TRUSTING) as front,
        sent_from(front, TRUSTED, "192.0.2.1"),
    ):
        wait_for_requests(upstream, 1)
        # Entries before the address that the proxy saw may be forged by the client.
        with sent_from(front, TRUSTED, "192.0.2.9, 192.0.2.1") as again:
            refused = again.recv(65536)
        with sent_from(front, TRUSTED, "192.0.2.2"):
            wait_for_requests(upstream, 2)
        logged = front.wait_for_log("192.0.2.9-192.0.2.1")

        assert refused.startswith(b"HTTP/1.1 429 ")
        assert logged["client"] == "192.0.2.1"
        assert b"X-Forwarded-For: 192.0.2.1\r\n" in upstream.requests[0]
        assert b"X-Forwarded-For: 192.0.2.2\r\n" in upstream.requests[1]


@needs_another_loopback
def test_the_addresses_of_an_ipv6_network_are_one_client(tmp_path: Path) -> None:
    with (
        replica("hang") as upstream,
        proxy(tmp_path / "state", [upstream.address], **TRUSTING) as front,
        sent_from(front, TRUSTED, "2001:db8::1"),
    ):
        wait_for_requests(upstream, 1)
        with sent_from(front, TRUSTED, "2001:db8::a:2") as again:
            refused = again.recv(65536)
        with sent_from(front, TRUSTED, "2001:db8:0:1::1"):
            wait_for_requests(upstream, 2)

        assert refused.startswith(b"HTTP/1.1 429 ")


@needs_another_loopback
def test_other_clients_cannot_choose_an_address(tmp_path: Path) -> None:
    with (
        replica("hang") as upstream,
        proxy(tmp_path / "state", [upstream.address], **TRUSTING) as front,
        sent_from(front, "127.0.0.1", "192.0.2.1"),
    ):
        wait_for_requests(upstream, 1)
        with sent_from(front, "127.0.0.1", "192.0.2.2") as again:
            refused = again.recv(65536)
        logged = front.wait_for_log("192.0.2.2")

        assert refused.startswith(b"HTTP/1.1 429 ")
        assert logged["client"] == "127.0.0.1"
        assert b"X-Forwarded-For: 127.0.0.1\r\n" in upstream.requests[0]


@pytest.mark.parametrize("host", ["[::1]", "[::]"])
def test_nginx_listens_on_ipv6(tmp_path: Path, host: str) -> None:
    if not ports.has_address("::1"):
        pytest.skip("this machine has no IPv6")
    port = free_port()
    binds = [f"127.0.0.1:{port}", f"[::1]:{port}"] if host == "[::1]" else [f"[::]:{port}"]
    command = nginx.prepare(Settings(), tmp_path, binds, f"127.0.0.1:{free_port()}")
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_until_listening(process, port)

        assert httpx.get(f"http://127.0.0.1:{port}/").status_code == 503
        assert httpx.get(f"http://[::1]:{port}/").status_code == 503
    finally:
        process.terminate()
        process.wait(SECONDS)
