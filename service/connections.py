"""The connections of the process: which have a place, which wait for one, and who makes room.

One that waits is no more than a socket: nobody reads from it, except to see whether it is a health
check, which needs no place. One that has waited too long gets a 503, unless a place is free that
nobody else waits for. The number of these 503s in a second is bounded, since a client that is
refused may connect again at once.
"""

import asyncio
import re
import socket
from collections import deque
from collections.abc import Callable
from itertools import chain, islice
from typing import Protocol

from service.common import limits
from service.refused_connections import RefusedConnections

IDLE_SECONDS_FOR_OTHERS = limits.IDLE_SECONDS_FOR_OTHERS.value
# How often all places are looked at, and how often those that wait, while any do.
LOOK_SECONDS = 1
TURN_SECONDS = 0.25
REFUSALS_A_TURN = int(limits.REFUSALS.value * TURN_SECONDS)
END_OF_HEAD = re.compile(rb"\n\r?\n")
# A health check with a longer head waits, as any request.
HEALTH_HEAD_BYTES = 1 << 12

Serve = Callable[[socket.socket], None]


class Connection(Protocol):
    """What a connection with a place can be asked and told."""

    def closable_at(self) -> float | None:
        """Return from when on it may be closed for another client; None while it is in use."""

    def opened_at(self) -> float:
        """Return when it began."""

    def close_for_another(self) -> None:
        """Close the connection."""

    def close_after_answer(self) -> None:
        """Close the connection after its next answer."""


class Connections:
    """At most `limit` connections with a place; `waiting` others wait, in order of arrival.

    Health checks, also below the path `prefix`, are served without a place.
    """

    def __init__(self, limit: int, waiting: int, prefix: str = "") -> None:
        self._limit = limit
        self._most_waiting = waiting
        self._health = health_requests(prefix)
        # By file descriptor. Between its arrival and its beginning there is no connection yet.
        self._places: dict[int, Connection | None] = {}
        self._without_place: dict[int, Connection | None] = {}
        self._waiting: dict[socket.socket, tuple[float, Serve]] = {}
        # Those that have waited too long.
        self._overdue: dict[socket.socket, tuple[float, Serve]] = {}
        # Of those that wait: whose request is for health, and whose may become one.
        self._checks: dict[socket.socket, None] = {}
        self._unfinished: set[socket.socket] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._next_look = 0.0
        self._idle: deque[tuple[int, Connection]] = deque()
        self._in_use: deque[tuple[int, Connection]] = deque()
        # What was told to close, at once or after its next answer, and has not left yet.
        self._closing: set[int] = set()
        self._finishing: set[int] = set()
        # How many that wait have had no other told to close.
        self._unhelped = 0
        self._refused = RefusedConnections(f"MAX_CONNECTIONS: {limit} connections are in use")

    def arrive(self, client: socket.socket, serve: Serve) -> None:
        """Serve a client that has just connected, or let it wait."""
        if len(self._places) < self._limit and not self._waiting:
            self._give_place(client, serve)
            return
        loop = asyncio.get_running_loop()
        self._waiting[client] = loop.time() + limits.QUEUE_SECONDS.value, serve
        if not self._look_at(client):
            loop.add_reader(client, self._look_at, client)
        if client in self._waiting:
            self._unhelped += 1
            self._make_room()
        if len(self._waiting) + len(self._overdue) > self._most_waiting:
            self._refuse(next(chain(self._overdue, self._waiting)))
        self._set_timer()

    def enter(self, descriptor: int, connection: Connection) -> bool:
        """Note that a connection begins; return whether it has a place."""
        if self._without_place.get(descriptor, self) is None:
            self._without_place[descriptor] = connection
            return False
        self._places[descriptor] = connection
        return True

    def leave(self, descriptor: int, connection: Connection | None) -> None:
        """Give its place to who has waited longest. None: the connection never began."""
        # The system may have given the number to a new one already.
        if self._without_place.get(descriptor, self) is connection:
            del self._without_place[descriptor]
            self._serve_checks()
        if self._places.get(descriptor, self) is connection:
            del self._places[descriptor]
            self._closing.discard(descriptor)
            self._finishing.discard(descriptor)
        while (self._waiting or self._overdue) and len(self._places) < self._limit:
            client = next(chain(self._waiting, self._overdue))
            self._give_place(client, self._call(client))

    def close(self) -> None:
        """Refuse all that wait."""
        for client in [*self._overdue, *self._waiting]:
            self._refuse(client)

    def _give_place(self, client: socket.socket, serve: Serve) -> None:
        descriptor = client.fileno()
        self._places[descriptor] = None
        self._closing.discard(descriptor)
        self._finishing.discard(descriptor)
        serve(client)

    def _call(self, client: socket.socket) -> Serve:
        queue = self._overdue if client in self._overdue else self._waiting
        _, serve = queue.pop(client)
        self._checks.pop(client, None)
        self._unfinished.discard(client)
        asyncio.get_running_loop().remove_reader(client)
        return serve

    def _look_at(self, client: socket.socket) -> bool:
        """See whether a client that waits asks for health; return whether anything has arrived."""
        try:
            begin = client.recv(HEALTH_HEAD_BYTES, socket.MSG_PEEK)
        except (BlockingIOError, InterruptedError):
            return False
        except OSError:
            begin = b""
        if not begin:
            self._call(client)
            client.close()
            return True
        # It would call again at once, for what is not read.
        asyncio.get_running_loop().remove_reader(client)
        self._unfinished.discard(client)
        health = begin.startswith(self._health)
        if health and END_OF_HEAD.search(begin):
            self._checks[client] = None
            self._serve_checks()
        elif health or any(one.startswith(begin) for one in self._health):
            self._unfinished.add(client)
        return True

    def _serve_checks(self) -> None:
        """Serve those that ask for health: the whole head is there, so none of them stays long."""
        while self._checks and len(self._without_place) < limits.HEALTH_CONNECTIONS.value:
            client = next(iter(self._checks))
            serve = self._call(client)
            self._without_place[client.fileno()] = None
            serve(client)

    def _set_timer(self) -> None:
        if (self._waiting or self._overdue) and self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(TURN_SECONDS, self._take_turn)

    def _take_turn(self) -> None:
        """Do what is due for those that wait."""
        self._timer = None
        for client in list(self._unfinished):
            self._look_at(client)
        self._make_room()
        now = asyncio.get_running_loop().time()
        for client, (deadline, _) in list(self._waiting.items()):
            if deadline > now:
                break
            self._overdue[client] = self._waiting.pop(client)
        for client in list(islice(self._overdue, REFUSALS_A_TURN)):
            self._refuse(client)
        self._set_timer()

    def _refuse(self, client: socket.socket) -> None:
        self._call(client)
        self._refused.refuse(client)

    def _make_room(self) -> None:
        """Have a connection close for each that waits: an idle one, or else the oldest in use."""
        now = asyncio.get_running_loop().time()
        if now >= self._next_look:
            self._next_look = now + LOOK_SECONDS
            self._look_at_places(now)
        self._unhelped = min(self._unhelped, len(self._waiting))
        while self._idle and len(self._closing) < len(self._waiting):
            descriptor, one = self._idle.popleft()
            if self._places.get(descriptor) is one and _is_closable(one, now):
                self._closing.add(descriptor)
                self._unhelped = max(0, self._unhelped - 1)
                one.close_for_another()
        while self._in_use and self._unhelped:
            descriptor, one = self._in_use.popleft()
            if self._places.get(descriptor) is one:
                self._finishing.add(descriptor)
                self._unhelped -= 1
                one.close_after_answer()

    def _look_at_places(self, now: float) -> None:
        self._idle.clear()
        self._in_use.clear()
        for descriptor, one in self._places.items():
            if one is None or descriptor in self._closing:
                continue
            if _is_closable(one, now):
                self._idle.append((descriptor, one))
            elif (
                descriptor not in self._finishing
                and now - one.opened_at() >= IDLE_SECONDS_FOR_OTHERS
            ):
                # In the order in which they were opened.
                self._in_use.append((descriptor, one))


def _is_closable(connection: Connection, now: float) -> bool:
    since = connection.closable_at()
    return since is not None and now >= since


def health_requests(prefix: str) -> tuple[bytes, ...]:
    """Return how requests begin that are answered, whatever else waits."""
    return tuple(
        f"{method} {below}{path}{end}".encode()
        for method in ("GET", "HEAD")
        for below in dict.fromkeys(("", prefix))
        for path in ("/livez", "/readyz")
        for end in (" ", "?")
    )
