"""A service that waits a second where others wait 30: `python -m tests.socket.impatient`.

Its sockets buffer little, so that it soon notices how fast a client reads.
"""

import socket
import sys
from collections.abc import Callable, Sequence
from functools import partial

from hypercorn.config import Sockets

from service.common.database import database, transfers
from service.server import idle_connections
from service.server import run as program

SECONDS = 1
SEND_BUFFER = 1 << 14


def main() -> int:
    """Serve, with less patience."""
    vars(database)["BULK_SECONDS"] = SECONDS
    vars(idle_connections)["PROGRESS_SECONDS"] = SECONDS
    vars(transfers)["SECONDS"] = SECONDS
    vars(program)["open_sockets"] = partial(open_sockets, program.open_sockets)
    return program.main()


def open_sockets(open_: Callable[[Sequence[str]], Sockets], binds: Sequence[str]) -> Sockets:
    """Listen; each connection inherits the size of the buffer."""
    sockets = open_(binds)
    for one in sockets.insecure_sockets:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
    return sockets


if __name__ == "__main__":
    sys.exit(main())
