"""The application under test, for faults: `python -m tests.faults.served`.

It gives a silent database up early, its metrics have the number of its tasks, and its wall clock is
off by the seconds in the file CLOCK.
"""

import asyncio
import os
import sys
import time
from collections.abc import AsyncGenerator
from pathlib import Path

from prometheus_client import Gauge

from service.common.database import connection
from service.common.web import App
from service.metrics import REGISTRY
from service.server import main
from service.settings import Settings
from tests.app import create_app

TASKS = Gauge("test_tasks", "Tasks of the event loop.", registry=REGISTRY)


def create(settings: Settings) -> App:
    """Return the application, which counts its tasks."""
    app = create_app(settings)

    @app.while_serving
    async def count() -> AsyncGenerator[None, None]:
        loop = asyncio.get_running_loop()
        TASKS.set_function(lambda: len(asyncio.all_tasks(loop)))
        yield

    return app


def shift_clock(file: Path) -> None:
    """Have Python's wall clock be off by the seconds in a file."""
    right = time.time
    vars(time)["time"] = lambda: right() + float(file.read_text())


if __name__ == "__main__":
    vars(connection)["COMMAND_GRACE_SECONDS"] = 0.1
    if clock := os.environ.get("CLOCK"):
        shift_clock(Path(clock))
    sys.exit(main(create))
