"""The limit of connections of the process: places, the queue, and which connections are closed.

A waiting connection is only a socket. It is not read, except to detect a health check, which needs
no place. One that has waited too long gets a 503, unless there is a place that no other waits for.
The rate of these 503s is limited, because a refused client may reconnect immediately.

No network can occupy all places: one with fewer places is served before one with more, and if one
with less than its share waits, a connection of one with more is closed.
"""

import asyncio
import socket
from collections import Counter, deque
from typing import Protocol

from service import limits
from service.client import network_of
from service.common.web import has_disconnected
from service.metrics import count_limit
from service.server.health_checks import CHECK_BYTES, HealthChecks
from service.server.refused_connections import RefusedConnections
from service.server.waiting_clients import Serve, Waiting, WaitingClients

IDLE_SECONDS_FOR_OTHERS = limits.IDLE_SECONDS_FOR_OTHERS.value
# The intervals of checking all connections, and the waiting ones, while any wait.
CHECK_SECONDS = 0.5
TICK_SECONDS = 0.25
REFUSALS_PER_TICK = int(limits.REFUSALS.value * TICK_SECONDS)


class ServedConnection(Protocol):
    """A connection that is served."""

    def closable_at(self) -> float | None:
        """Return the time from which it may be closed for another client; None if in use."""

    def opened_at(self) -> float:
        """Return the time when it was opened."""

    def close_for_another(self) -> None:
        """Close the connection."""

    def close_after_answer(self) -> None:
        """Close the connection after its next response."""


class Connections:
    """At most `limit` connections with a place; `waiting` others wait.

    Health checks, also below the path `prefix`, are served without a place.
    """

    def __init__(self, limit: int, waiting: int, prefix: str = "") -> None:
        self._limit = limit
        self._most_waiting = waiting
        self._health = HealthChecks(prefix)
        # Accepted sockets without a connection object, by descriptor, which the system does not
        # reuse until then; and connections. Values: the network, or None without a place.
        self._accepted: dict[int, str | None] = {}
        self._open: dict[ServedConnection, str | None] = {}
        # Places taken by network and in all, and connections without a place.
        self._places: Counter[str] = Counter()
        self._taken = 0
        self._without_place = 0
        self._waiting = WaitingClients()
        # Waiting clients that sent a health check, and those that may be sending one.
        self._checks: dict[socket.socket, None] = {}
        self._unfinished: set[socket.socket] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._next_look = 0.0
        self._idle: deque[ServedConnection] = deque()
        self._in_use: deque[ServedConnection] = deque()
        # Connections that are being closed, immediately or after their next response.
        self._closing: set[ServedConnection] = set()
        self._finishing: set[ServedConnection] = set()
        # How many more connections are to be closed: one for each waiting client.
        self._to_close = 0
        self._refused = RefusedConnections(f"MAX_CONNECTIONS: {limit} connections are in use")

    def arrive(self, client: socket.socket, address: object, serve: Serve) -> None:
        """Serve a new client, or add it to the queue."""
        # That of a Unix domain socket is a path.
        network = network_of(address[0] if isinstance(address, tuple) else "")
        if self._taken < self._limit and not self._waiting.in_time():
            self._give_place(client, network, serve)
            return
        loop = asyncio.get_running_loop()
        deadline = loop.time() + limits.QUEUE_SECONDS.value
        self._waiting.add(client, Waiting(deadline, serve, network))
        if not self._look_at(client):
            loop.add_reader(client, self._look_at, client)
        if client in self._waiting:
            self._to_close += 1
            self._close_for_waiting()
        if len(self._waiting) > self._most_waiting:
            count_limit("WAITING_CONNECTIONS")
            self._refuse(self._waiting.oldest())
        self._set_timer()

    def network_of_accepted(self, descriptor: int) -> str | None:
        """Return the network of a client that is served from now on; None without a place."""
        return self._accepted[descriptor]

    def enter(self, descriptor: int, connection: ServedConnection) -> bool:
        """Register a new connection; return whether it has a place."""
        network = self._open[connection] = self._accepted.pop(descriptor)
        return network is not None

    def leave(self, descriptor: int, connection: ServedConnection | None) -> None:
        """Give the place to another client. None: no connection object was created."""
        if connection is None:
            network = self._accepted.pop(descriptor)
        else:
            network = self._open.pop(connection)
            self._closing.discard(connection)
            self._finishing.discard(connection)
        if network is None:
            self._without_place -= 1
            self._serve_checks()
            return
        self._taken -= 1
        self._places[network] -= 1
        if not self._places[network]:
            del self._places[network]
        while len(self._waiting) and self._taken < self._limit:
            client = self._waiting.next(self._places)
            waiting = self._remove(client)
            if has_disconnected(client):
                client.close()
            else:
                self._give_place(client, waiting.network, waiting.serve)

    def served(self) -> int:
        """Return how many connections are served, those of health checks included."""
        return self._taken + self._without_place

    def waiting(self) -> int:
        """Return how many connections wait for a place."""
        return len(self._waiting)

    def close(self) -> None:
        """Refuse all waiting clients."""
        while len(self._waiting):
            self._refuse(self._waiting.oldest())

    def _give_place(self, client: socket.socket, network: str, serve: Serve) -> None:
        self._accepted[client.fileno()] = network
        self._taken += 1
        self._places[network] += 1
        serve(client)

    def _remove(self, client: socket.socket) -> Waiting:
        self._checks.pop(client, None)
        self._unfinished.discard(client)
        asyncio.get_running_loop().remove_reader(client)
        return self._waiting.remove(client)

    def _look_at(self, client: socket.socket) -> bool:
        """Detect a health check of a waiting client; return whether any data has arrived."""
        try:
            begin = client.recv(CHECK_BYTES, socket.MSG_PEEK)
        except (BlockingIOError, InterruptedError):
            return False
        except OSError:
            begin = b""
        if not begin:
            self._remove(client)
            client.close()
            return True
        asyncio.get_running_loop().remove_reader(client)
        self._unfinished.discard(client)
        is_check = self._health.asks(begin)
        if is_check:
            self._checks[client] = None
            self._serve_checks()
        elif is_check is None:
            self._unfinished.add(client)
        return True

    def _serve_checks(self) -> None:
        """Serve health checks without a place: their heads are complete, so they end soon."""
        while self._checks and self._without_place < limits.HEALTH_CONNECTIONS.value:
            client = next(iter(self._checks))
            waiting = self._remove(client)
            self._accepted[client.fileno()] = None
            self._without_place += 1
            waiting.serve(client)

    def _set_timer(self) -> None:
        if len(self._waiting) and self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(TICK_SECONDS, self._tick)

    def _tick(self) -> None:
        """Detect health checks, close connections for waiting clients, refuse overdue ones."""
        self._timer = None
        for client in list(self._unfinished):
            self._look_at(client)
        self._close_for_waiting()
        for client in self._waiting.overdue(asyncio.get_running_loop().time(), REFUSALS_PER_TICK):
            count_limit("QUEUE_SECONDS")
            self._refuse(client)
        self._set_timer()

    def _refuse(self, client: socket.socket) -> None:
        self._remove(client)
        self._refused.refuse(client)

    def _close_for_waiting(self) -> None:
        """Close a connection for each waiting client: an idle one, or else the oldest in use."""
        now = asyncio.get_running_loop().time()
        if now >= self._next_look:
            self._next_look = now + CHECK_SECONDS
            self._look_at_connections(now)
            self._close_above_share()
        waiting = self._waiting.in_time()
        self._to_close = min(self._to_close, waiting)
        while self._idle and len(self._closing) < waiting:
            one = self._idle.popleft()
            if one in self._open and _is_closable(one, now):
                self._close(one)
        while self._in_use and self._to_close:
            one = self._in_use.popleft()
            if one in self._open:
                self._finishing.add(one)
                self._to_close -= 1
                one.close_after_answer()

    def _close(self, one: ServedConnection) -> None:
        self._closing.add(one)
        count_limit("IDLE_SECONDS_FOR_OTHERS")
        self._to_close = max(0, self._to_close - 1)
        one.close_for_another()

    def _look_at_connections(self, now: float) -> None:
        self._idle.clear()
        self._in_use.clear()
        # The oldest first.
        for one, network in self._open.items():
            if network is None or one in self._closing:
                continue
            if _is_closable(one, now):
                self._idle.append(one)
            elif one not in self._finishing and now - one.opened_at() >= IDLE_SECONDS_FOR_OTHERS:
                self._in_use.append(one)

    def _close_above_share(self) -> None:
        """Close idle connections of networks with more than their share, for other networks."""
        waiting = self._waiting.networks()
        share = max(1, self._limit // len(self._places.keys() | waiting.keys()))
        wanted = sum(min(waiting[one], max(0, share - self._places[one])) for one in waiting)
        left = self._places.copy()
        left.subtract(self._open[one] or "" for one in self._closing)
        wanted -= len(self._closing)
        for one, network in self._open.items():
            if wanted <= 0:
                return
            if network is None or left[network] <= share or one in self._closing:
                continue
            if one.closable_at() is not None:
                left[network] -= 1
                wanted -= 1
                self._close(one)


def _is_closable(connection: ServedConnection, now: float) -> bool:
    since = connection.closable_at()
    return since is not None and now >= since
