"""Ports for servers that tests start."""

import os
import secrets
import socket

# Below the ports of outgoing connections: those of other tests take none of these.
FIRST, LAST = 20_000, 32_000
# Each worker of a run has some of its own: a server listens a second after its port was chosen.
WORKERS = 16
EACH = (LAST - FIRST) // WORKERS
WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % WORKERS


def free_port() -> int:
    """Return a free port."""
    while True:
        port = FIRST + WORKER * EACH + secrets.randbelow(EACH)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
