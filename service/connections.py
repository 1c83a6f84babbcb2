"""The connections of the process: which have a place, which wait for one, and who makes room.

One that waits is no more than a socket: nobody reads from it, except to see whether it is a health
check, which needs no place.
"""

import asyncio
import re
import socket
from collections import deque
from collections.abc import Callable
from typing import Protocol

from service.common import limits
from service.common.refusals import RefusalLog, refusal
from service.common.request_ids import choose_request_id

IDLE_SECONDS_FOR_OTHERS = limits.IDLE_SECONDS_FOR_OTHERS.value
LOOK_SECONDS = 1
# These are answered, whatever else waits.
HEALTH = tuple(
    f"{method} {path}{end}".encode()
    for method in ("GET", "HEAD")
    for path in ("/livez", "/readyz")
    for end in (" ", "?")
)
LONGEST_HEALTH = max(map(len, HEALTH))
# A header of the client, in what has arrived of its request.
REQUEST_ID = re.compile(rb"\nX-Request-ID:[ \t]*([A-Za-z0-9._-]{1,64})[ \t]*\r?\n", re.IGNORECASE)
READ_BYTES = 1 << 14
MESSAGE = "The service has no room for another connection. Try again shortly."

Serve = Callable[[socket.socket], None]


class Connection(Protocol):
    """What a connection with a place can be asked and told."""

    def waits_since(self) -> float | None:
        """Return since when it waits for its client; None while it works for it."""

    def opened_at(self) -> float:
        """Return when it began."""

    def close_for_another(self) -> None:
        """Close the connection."""

    def close_after_answer(self) -> None:
        """Close the connection after its next answer."""


class Connections:
    """At most `limit` connections with a place; the others wait, in the order of their arrival."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        # By file descriptor. Between its arrival and its beginning there is no connection yet.
        self._places: dict[int, Connection | None] = {}
        self._without_place: set[int] = set()
        self._waiting: dict[socket.socket, tuple[float, Serve]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._candidates: deque[tuple[int, Connection]] = deque()
        self._next_look = 0.0
        self._log = RefusalLog(f"MAX_CONNECTIONS: {limit} connections are in use")

    def arrive(self, client: socket.socket, serve: Serve) -> None:
        """Serve a client that has just connected, or let it wait."""
        if len(self._places) < self._limit and not self._waiting:
            self._places[client.fileno()] = None
            serve(client)
            return
        loop = asyncio.get_running_loop()
        deadline = loop.time() + limits.QUEUE_SECONDS.value
        self._waiting[client] = deadline, serve
        loop.add_reader(client, self._look_at, client)
        if self._timer is None:
            self._timer = loop.call_at(deadline, self._refuse_late)
        self._make_room()
        if len(self._waiting) > limits.WAITING_CONNECTIONS.value:
            self._refuse(next(iter(self._waiting)))

    def enter(self, descriptor: int, connection: Connection) -> bool:
        """Note that a connection begins; return whether it has a place."""
        if descriptor in self._without_place:
            self._without_place.remove(descriptor)
            return False
        self._places[descriptor] = connection
        return True

    def leave(self, descriptor: int, connection: Connection | None) -> None:
        """Give the place to the client that has waited longest."""
        # The system may have given the number to a new one already.
        if self._places.get(descriptor, self) is connection:
            del self._places[descriptor]
        while self._waiting and len(self._places) < self._limit:
            client = next(iter(self._waiting))
            serve = self._call(client)
            self._places[client.fileno()] = None
            serve(client)

    def close(self) -> None:
        """Refuse all that wait."""
        for client in list(self._waiting):
            self._refuse(client)

    def _call(self, client: socket.socket) -> Serve:
        _, serve = self._waiting.pop(client)
        asyncio.get_running_loop().remove_reader(client)
        return serve

    def _look_at(self, client: socket.socket) -> None:
        """Serve a client that asks for health; let others wait on."""
        try:
            begin = client.recv(LONGEST_HEALTH, socket.MSG_PEEK)
        except OSError:
            begin = b""
        if begin.startswith(HEALTH):
            serve = self._call(client)
            self._without_place.add(client.fileno())
            serve(client)
        elif begin:
            asyncio.get_running_loop().remove_reader(client)
        else:
            self._call(client)
            client.close()

    def _refuse_late(self) -> None:
        loop = asyncio.get_running_loop()
        self._timer = None
        while self._waiting:
            client = next(iter(self._waiting))
            deadline, _ = self._waiting[client]
            if deadline > loop.time():
                self._timer = loop.call_at(deadline, self._refuse_late)
                return
            self._refuse(client)

    def _refuse(self, client: socket.socket) -> None:
        """Answer 503 to what the client has sent, and close."""
        self._call(client)
        self._log.note()
        with client:
            try:
                client.send(refuse(client.recv(READ_BYTES)))
            except OSError:
                # It has sent nothing, or has gone.
                return

    def _make_room(self) -> None:
        """Have one connection close: one that waits for its client, or else that is open longest.

        All of them are looked at only once a second.
        """
        now = asyncio.get_running_loop().time()
        if not self._candidates and now >= self._next_look:
            self._next_look = now + LOOK_SECONDS
            begun = [(number, one) for number, one in self._places.items() if one is not None]
            # What is not stalled stays in the order in which it was opened.
            self._candidates.extend(sorted(begun, key=lambda one: not _is_stalled(one[1], now)))
        while self._candidates:
            descriptor, one = self._candidates.popleft()
            if self._places.get(descriptor) is not one:
                continue
            if _is_stalled(one, now):
                one.close_for_another()
                return
            if now - one.opened_at() >= IDLE_SECONDS_FOR_OTHERS:
                one.close_after_answer()
                return


def _is_stalled(connection: Connection, now: float) -> bool:
    since = connection.waits_since()
    return since is not None and now - since >= IDLE_SECONDS_FOR_OTHERS


def refuse(request: bytes) -> bytes:
    """Return the answer to a request that gets no place, of which this much has arrived."""
    found = REQUEST_ID.search(request)
    headers, body = refusal(choose_request_id(found[1].decode() if found else ""), MESSAGE)
    lines = "".join(f"{field}: {value}\r\n" for field, value in headers.items())
    head = f"HTTP/1.1 503 \r\n{lines}connection: close\r\n\r\n".encode()
    return head if request.startswith(b"HEAD ") else head + body
