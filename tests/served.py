"""The application under test as a process: `python -m tests.served`, like `python -m service`."""

import os
import sys
from collections.abc import Callable

from service import server
from service.common.web import App
from service.server import http1
from service.settings import Settings, settings
from tests.app import create_app


def main(create: Callable[[Settings], App] = create_app) -> int:
    """Serve, also with a deadline that is shorter than an operator may set.

    With ONLY_H11 in the environment, no request is ordinary: h11 reads all.
    """
    vars(settings)["SHORTEST_REQUEST"] = 0
    if os.environ.get("ONLY_H11"):
        vars(http1)["read_request"] = lambda *_: None
    return server.main(create)


if __name__ == "__main__":
    sys.exit(main())
