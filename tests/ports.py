"""Ports for servers that tests start."""

import secrets
import socket

# Below the ports of outgoing connections: those of other tests take none of these.
FIRST, LAST = 20_000, 32_000


def free_port() -> int:
    """Return a free port."""
    while True:
        port = FIRST + secrets.randbelow(LAST - FIRST)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
