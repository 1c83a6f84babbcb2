"""Keep-alive connections that send a given list of requests, and nothing else.

wrk stops in the middle of its requests. In a short run, much of the server's time would be that of
accepting connections and cancelling the last requests.
"""

import json
import random
import re
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from selectors import EVENT_READ, DefaultSelector
from typing import Any

from benchmarks.collection import PATH
from benchmarks.records import RECORDS
from benchmarks.servers import KEY

TIMEOUT = 60
SUCCESSES = range(200, 300)
CHUNK = 1 << 16
END_OF_HEAD = b"\r\n\r\n"
LAST_CHUNK = b"\r\n0\r\n\r\n"
LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)")


def requests_of(work: str, count: int, run: int) -> list[bytes]:
    """Return requests as wrk.lua makes them; the same run gives the same ones."""
    chance = random.Random(run)  # noqa: S311  # The same run gives the same requests.

    def one(number: int) -> bytes:
        match work:
            case "read":
                return request("GET", f"{PATH}/{chance.randint(1, RECORDS)}")
            case "list":
                return request("GET", f"{PATH}?limit=50")
            case "create":
                email = f"c{run}-{number}@example.org"
                return request("POST", PATH, {"name": "Benchmark", "email": email})
            case "update":
                name = f"Project {chance.randint(1, 1_000_000)}"
                return request("PUT", f"{PATH}/{chance.randint(1, RECORDS)}", {"name": name})
            case "empty":
                return request("GET", "/livez")
        raise ValueError(work)

    return [one(number) for number in range(count)]


def request(method: str, target: str, body: Any = None, headers: str = "") -> bytes:
    """Return the bytes of a request; each line of `headers` ends with CRLF."""
    content = b"" if body is None else json.dumps(body).encode()
    head = f"{method} {target} HTTP/1.1\r\nHost: 127.0.0.1\r\nX-API-Key: {KEY}\r\n{headers}"
    if body is not None:
        head += f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n"
    return f"{head}\r\n".encode() + content


class Answer:
    """An answer as it arrives: its head is kept, its body only counted."""

    def __init__(self) -> None:
        self.head = b""
        self.status = 0
        self.closes = False
        # How much is missing; None: the head, or the end of a body in chunks.
        self._missing: int | None = None
        self._tail = b""

    def feed(self, received: bytes) -> bool:
        """Return whether the answer is complete."""
        if not self.status:
            self.head += received
            end = self.head.find(END_OF_HEAD)
            if end < 0:
                return False
            received = self.head[end + len(END_OF_HEAD) :]
            self.head = self.head[:end].lower()
            self.status = int(self.head[9:12])
            self.closes = b"\r\nconnection: close" in self.head
            if length := LENGTH.search(self.head):
                self._missing = int(length[1])
        if self._missing is None:
            self._tail = (self._tail + received)[-len(LAST_CHUNK) :]
            return self._tail == LAST_CHUNK
        self._missing -= len(received)
        return self._missing <= 0


class Clients:
    """Connections to a server, each with one request at a time."""

    def __init__(self, sockets: Sequence[socket.socket]) -> None:
        self._sockets = sockets

    def send_all(self, requests: Sequence[bytes]) -> float:
        """Return the seconds until all are answered; exit if an answer is not a success."""
        waiting = iter(requests)
        answers: dict[socket.socket, Answer] = {}
        began = time.perf_counter()
        with DefaultSelector() as selector:
            for one, sent in zip(self._sockets, waiting, strict=False):
                selector.register(one, EVENT_READ)
                answers[one] = Answer()
                one.sendall(sent)
            while answers:
                ready = selector.select(TIMEOUT)
                if not ready:
                    raise SystemExit(f"There was no answer within {TIMEOUT} s.")
                for key, _ in ready:
                    one = key.fileobj  # type: ignore[assignment]  # Only sockets were registered.
                    if not answers[one].feed(self._received(one)):
                        continue
                    if answers[one].status not in SUCCESSES:
                        raise SystemExit(f"The server answers wrongly: {answers[one].head!r}")
                    following = next(waiting, None)
                    if following is None:
                        selector.unregister(one)
                        del answers[one]
                    else:
                        answers[one] = Answer()
                        one.sendall(following)
        return time.perf_counter() - began

    @staticmethod
    def _received(one: socket.socket) -> bytes:
        received = one.recv(CHUNK)
        if not received:
            raise SystemExit("The server closed a connection.")
        return received


@contextmanager
def connected(port: int, count: int) -> Iterator[Clients]:
    """Give as many connections as are wanted, and close them in the end."""
    sockets: list[socket.socket] = []
    try:
        for _ in range(count):
            one = socket.create_connection(("127.0.0.1", port), TIMEOUT)
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sockets.append(one)
        yield Clients(sockets)
    finally:
        for one in sockets:
            one.close()
