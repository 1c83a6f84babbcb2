"""The application under test as a process: `python -m tests.served`, like `python -m service`."""

import sys
from collections.abc import Callable

from service import server
from service.common.web import App
from service.settings import Settings, settings
from tests.app import create_app


def main(create: Callable[[Settings], App] = create_app) -> int:
    """Serve, also with a deadline that is shorter than an operator may set."""
    vars(settings)["SHORTEST_REQUEST"] = 0
    return server.main(create)


if __name__ == "__main__":
    sys.exit(main())
