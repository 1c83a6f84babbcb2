"""A service that waits so many seconds for a client whose place another needs.

`python -m tests.socket.contended SECONDS`. Its sockets buffer little.
"""

import sys
from functools import partial

from service.common.database import transfers
from service.server import run as program
from tests.socket.impatient import open_sockets


def main() -> int:
    """Serve, with this patience."""
    vars(transfers)["SECONDS_FOR_OTHERS"] = float(sys.argv.pop())
    vars(program)["open_sockets"] = partial(open_sockets, program.open_sockets)
    return program.main()


if __name__ == "__main__":
    sys.exit(main())
