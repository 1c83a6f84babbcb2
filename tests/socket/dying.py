"""A service that dies between a commit and its answer: `python -m tests.socket.dying`."""

import os

from hypercorn.asyncio import serve
from hypercorn.config import Config
from quart.wrappers import Response
from uvloop import run

from service.settings import load_settings
from tests.app import create_app

STATUS = 9


async def die(response: Response) -> Response:
    """Exit when a record was created."""
    if response.status_code == 201:
        os._exit(STATUS)
    return response


def main() -> None:
    """Serve until a record is created."""
    settings = load_settings()
    app = create_app(settings)
    # The last hook of all: they run from the end of this list to its beginning.
    app.after_request_funcs[None].insert(0, die)
    config = Config()
    config.bind = list(settings.bind)
    run(serve(app, config))


if __name__ == "__main__":
    main()
