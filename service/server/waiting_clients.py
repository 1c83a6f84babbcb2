"""The queue of connected clients that wait for a place."""

import socket
from collections import Counter
from collections.abc import Callable
from itertools import chain, islice
from typing import NamedTuple

Serve = Callable[[socket.socket], None]


class Waiting(NamedTuple):
    """A waiting client: its deadline, the function that serves it, and its network."""

    deadline: float
    serve: Serve
    network: str


class WaitingClients:
    """The waiting clients, in order of arrival; after its deadline a client is `overdue`."""

    def __init__(self) -> None:
        self._in_time: dict[socket.socket, Waiting] = {}
        self._overdue: dict[socket.socket, Waiting] = {}
        # The clients that are not overdue.
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
        """Add a client."""
        self._in_time[client] = waiting
        self._by_network.setdefault(waiting.network, {})[client] = None

    def remove(self, client: socket.socket) -> Waiting:
        """Remove a client."""
        if client in self._overdue:
            return self._overdue.pop(client)
        waiting = self._in_time.pop(client)
        clients = self._by_network[waiting.network]
        del clients[client]
        if not clients:
            del self._by_network[waiting.network]
        return waiting

    def next(self, places: Counter[str]) -> socket.socket:
        """Return the client for the next place: one of the network with the fewest places."""
        if not self._in_time:
            return next(iter(self._overdue))
        network = min(self._by_network, key=places.__getitem__)
        return next(iter(self._by_network[network]))

    def oldest(self) -> socket.socket:
        """Return the client that has waited longest."""
        return next(chain(self._overdue, self._in_time))

    def overdue(self, now: float, most: int) -> list[socket.socket]:
        """Return at most `most` overdue clients, the oldest first."""
        for client, waiting in list(self._in_time.items()):
            if waiting.deadline > now:
                break
            self._overdue[client] = self.remove(client)
        return list(islice(self._overdue, most))
