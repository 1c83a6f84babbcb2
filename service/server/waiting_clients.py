"""Clients that have connected and wait for a place, and which of them gets the next one."""

import socket
from collections import Counter
from collections.abc import Callable
from itertools import chain, islice
from typing import NamedTuple

Serve = Callable[[socket.socket], None]


class Waiting(NamedTuple):
    """Until when a client waits for a place, what serves it, and where it is from."""

    deadline: float
    serve: Serve
    network: str


class WaitingClients:
    """Those that wait, in order of arrival; who has waited too long is `overdue`."""

    def __init__(self) -> None:
        self._in_time: dict[socket.socket, Waiting] = {}
        self._overdue: dict[socket.socket, Waiting] = {}
        # Of those in time.
        self._by_network: dict[str, dict[socket.socket, None]] = {}

    def __len__(self) -> int:
        """Return how many wait, overdue or not."""
        return len(self._in_time) + len(self._overdue)

    def __contains__(self, client: socket.socket) -> bool:
        """Return whether a client waits."""
        return client in self._in_time or client in self._overdue

    def in_time(self) -> int:
        """Return how many are not overdue."""
        return len(self._in_time)

    def networks(self) -> dict[str, int]:
        """Return how many are not overdue, by network."""
        return {network: len(clients) for network, clients in self._by_network.items()}

    def add(self, client: socket.socket, waiting: Waiting) -> None:
        """Let a client wait."""
        self._in_time[client] = waiting
        self._by_network.setdefault(waiting.network, {})[client] = None

    def remove(self, client: socket.socket) -> Waiting:
        """Let a client wait no more."""
        if client in self._overdue:
            return self._overdue.pop(client)
        waiting = self._in_time.pop(client)
        clients = self._by_network[waiting.network]
        del clients[client]
        if not clients:
            del self._by_network[waiting.network]
        return waiting

    def next(self, places: Counter[str]) -> socket.socket:
        """Return who gets the next place: one of the network with the fewest."""
        if not self._in_time:
            return next(iter(self._overdue))
        network = min(self._by_network, key=places.__getitem__)
        return next(iter(self._by_network[network]))

    def oldest(self) -> socket.socket:
        """Return who has waited longest."""
        return next(chain(self._overdue, self._in_time))

    def overdue(self, now: float, most: int) -> list[socket.socket]:
        """Return at most so many who have waited too long, the oldest first."""
        for client, waiting in list(self._in_time.items()):
            if waiting.deadline > now:
                break
            self._overdue[client] = self.remove(client)
        return list(islice(self._overdue, most))


def network_of(address: object) -> str:
    """Return what counts as one client of a socket's address: IPv4's whole, IPv6's first 64 bits.

    The clients of a Unix domain socket count as one.
    """
    host = address[0] if isinstance(address, tuple) else ""
    if ":" not in host or host.startswith("::ffff:"):
        return str(host)
    return socket.inet_pton(socket.AF_INET6, host.partition("%")[0])[:8].hex()
