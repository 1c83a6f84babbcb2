"""A request as bytes, its answer, and what becomes of the connection behind it."""

import json
import socket
from dataclasses import dataclass
from email.message import Message
from http.client import parse_headers
from io import BufferedReader

import httpx

from tests.contract import TARGET, check
from tests.envelope import check_envelope
from tests.socket.conftest import KEY
from tests.waiting import SECONDS

JSON = b"Content-Type: application/json"


@dataclass(frozen=True)
class Row:
    """Hostile bytes, and what is answered to them.

    Without a type the response has no envelope: it is a success, or hypercorn's empty one.
    """

    sent: bytes
    status: int
    type: str | None = "InvalidAPIRequest"
    closes: bool = False


@dataclass(frozen=True)
class Answer:
    """One answer, and the bytes that came behind it, up to the end of the connection."""

    status: int
    headers: Message
    body: bytes


def request(line: bytes, *headers: bytes, body: bytes | None = None) -> bytes:
    """Return a request with the key, and with the length of its body if it has one."""
    lines = [line + b" HTTP/1.1", b"Host: x", b"X-API-Key: " + KEY.encode(), *headers]
    if body is not None:
        lines.append(b"Content-Length: %d" % len(body))
    return b"\r\n".join(lines) + b"\r\n\r\n" + (body or b"")


def chunked(*chunks: bytes) -> bytes:
    """Return a body in chunks, with its end."""
    return b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"


SECOND = request(b"GET /livez", b"X-Request-ID: the-second", b"Connection: close")


def exchange(port: int, row: Row) -> None:
    """Send a row, and hold its answer and what becomes of the connection against the contract."""
    with (
        socket.create_connection(("127.0.0.1", port), timeout=SECONDS) as connection,
        connection.makefile("rb") as reader,
    ):
        connection.sendall(row.sent)
        hold(read_answer(reader), row)
        if not row.closes:
            connection.sendall(SECOND)
            second = read_answer(reader)

            assert (second.status, second.body) == (200, b'{"status":"alive"}')
            # No part of the first request was parsed as another request.
            assert second.headers["X-Request-ID"] == "the-second"
        assert is_closed(reader)


def hold(answer: Answer, row: Row) -> None:
    """Hold an answer against its row."""
    assert answer.status == row.status, answer
    assert (answer.headers["Connection"] == "close") == row.closes
    if row.type is not None:
        check_envelope(json.loads(answer.body), answer.headers, row.status, row.type)
    elif row.status >= 400:
        assert answer.body == b""
        return
    if target := TARGET.match(row.sent):
        method, path = (part.decode("latin-1") for part in target.groups())
        headers = httpx.Headers(list(answer.headers.items()))
        check(method, path, answer.status, headers, answer.body)


def read_answer(reader: BufferedReader) -> Answer:
    """Read one answer, and not a byte more."""
    line = reader.readline()
    assert line.startswith(b"HTTP/1.1 "), line
    headers = parse_headers(reader)
    return Answer(int(line.split()[1]), headers, reader.read(int(headers["Content-Length"] or 0)))


def is_closed(reader: BufferedReader) -> bool:
    """Return whether the service has closed the connection, with nothing more to say."""
    try:
        return reader.read() == b""
    except ConnectionResetError:
        return True  # How a connection ends whose last bytes were not read.
