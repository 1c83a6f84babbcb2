"""Ports for servers that tests start."""

import os
import socket
from itertools import cycle
from random import sample

# Below the ports of outgoing connections: those of other tests take none of these.
# Runs of pytest at the same time have different first ports.
FIRST = int(os.environ.get("FIRST_TEST_PORT", "20000"))
# Each worker of a run has some of its own: a server listens a second after its port was chosen.
WORKERS, EACH = 16, 187
WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % WORKERS

# In an order of its own, so that the next run does not find those that the kernel still holds.
_ports = cycle(sample(range(FIRST + WORKER * EACH, FIRST + (WORKER + 1) * EACH), EACH))
# Bound until the process ends, and nothing listens on them.
_refusing: list[socket.socket] = []


def free_port() -> int:
    """Return a free port, another one each time."""
    with _bound() as probe:
        return _port(probe)


def refusing_port() -> int:
    """Return a port that refuses connections, and that no other test gets."""
    _refusing.append(_bound())
    return _port(_refusing[-1])


def _bound() -> socket.socket:
    while True:
        probe = socket.socket()
        try:
            probe.bind(("127.0.0.1", next(_ports)))
        except OSError:
            probe.close()
        else:
            return probe


def _port(probe: socket.socket) -> int:
    port: int = probe.getsockname()[1]
    return port
