"""A service with time-outs of 1 s instead of 30 s: `python -m tests.socket.short_timeouts`.

Its sockets have small buffers, so that a slow reader is detected early.
"""

import socket
import sys
from collections.abc import Callable, Sequence
from functools import partial

from hypercorn.config import Sockets

from service.common.database import database, transfers
from service.server import connection_server
from service.server import run as program
from tests import served

SECONDS = 1
SEND_BUFFER = 1 << 14


def main() -> int:
    """Serve with short time-outs."""
    vars(database)["BULK_SECONDS"] = SECONDS
    vars(connection_server)["PROGRESS_SECONDS"] = SECONDS
    vars(transfers)["PROGRESS_SECONDS"] = SECONDS
    vars(program)["open_sockets"] = partial(open_sockets, program.open_sockets)
    return served.main()


def open_sockets(open_: Callable[[Sequence[str]], Sockets], binds: Sequence[str]) -> Sockets:
    """Listen with small buffers, which connections inherit."""
    sockets = open_(binds)
    for one in sockets.insecure_sockets:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
    return sockets


if __name__ == "__main__":
    sys.exit(main())
