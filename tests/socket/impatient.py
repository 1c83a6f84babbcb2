"""A service that waits a second where others wait 30: `python -m tests.socket.impatient`."""

import sys

from service import __main__ as program
from service.common import database
from service.common.middleware import exports, imports

SECONDS = 1


def main() -> int:
    """Serve, with less patience."""
    for module in (database, exports, imports):
        vars(module)["BULK_SECONDS"] = SECONDS
    return program.main()


if __name__ == "__main__":
    sys.exit(main())
