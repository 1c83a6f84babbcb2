"""A service that ends a slow transfer after SECONDS if another one waits.

`python -m tests.socket.contended SECONDS`. Its sockets have small buffers.
"""

import sys
from functools import partial

from service.common.database import transfers
from service.server import run as program
from tests.app import create_app
from tests.socket.short_timeouts import open_sockets


def main() -> int:
    """Serve with this time-out."""
    vars(transfers)["SECONDS_FOR_OTHERS"] = float(sys.argv.pop())
    vars(program)["open_sockets"] = partial(open_sockets, program.open_sockets)
    return program.main(create_app)


if __name__ == "__main__":
    sys.exit(main())
