"""`python -m service`: hypercorn on uvloop, one worker, a drain and a deadline at the stop."""

import asyncio
import os
import signal
import sys
import threading

import structlog
import uvloop
from hypercorn.asyncio import serve
from hypercorn.config import Config
from quart import Quart

from service import create_app
from service.common.embedded import EmbeddedPostgresError
from service.common.engine import database_url
from service.common.logs import AccessLog, configure_logs
from service.common.middleware.drain import begin_drain
from service.common.validation import SchemaError
from service.settings import Settings, SettingsError, load_settings

log = structlog.get_logger("service")
# How long the requests in flight may take beyond their own deadline.
GRACE_SECONDS = 2


def main() -> int:
    """Serve until SIGTERM or SIGINT; return the exit code."""
    try:
        settings = load_settings()
        configure_logs(settings)
        app = create_app(settings)
        # Here a failure is one line, and the start of an embedded PostgreSQL holds up nobody.
        database_url(settings)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(serve(app, server_config(settings), shutdown_trigger=Stop(app, settings)))
    except (SettingsError, SchemaError, EmbeddedPostgresError) as error:
        print(error, file=sys.stderr)  # noqa: T201  # There may be no log yet.
        return 1
    except OSError as error:
        print(f"BIND: can't listen on {settings.bind}: {error.strerror}.", file=sys.stderr)  # noqa: T201
        return 1
    return 0


def server_config(settings: Settings) -> Config:
    """Return how hypercorn listens, and what it says of itself."""
    config = Config()
    config.bind = [settings.bind]
    config.backlog = 2048
    config.include_server_header = False
    config.logger_class = AccessLog
    config.keep_alive_timeout = 75
    config.graceful_timeout = settings.request_timeout
    config.keep_alive_max_requests = sys.maxsize
    return config


class Stop:
    """What hypercorn waits for: a signal, and after SIGTERM the drain."""

    def __init__(self, app: Quart, settings: Settings) -> None:
        self._app = app
        self._settings = settings

    async def __call__(self) -> None:
        """Return when the service is to stop listening."""
        received: asyncio.Queue[signal.Signals] = asyncio.Queue()
        loop = asyncio.get_running_loop()
        for name in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(name, received.put_nowait, name)
        first = await received.get()
        # Control-C is a person at the keyboard: no proxy needs to be told.
        seconds = self._settings.drain_seconds if first is signal.SIGTERM else 0
        log.info("stopping", signal=first.name, drain_seconds=seconds)
        begin_drain(self._app)
        # hypercorn waits for open connections without an end of its own on Python 3.12 and later.
        deadline = threading.Timer(
            seconds + self._settings.request_timeout + GRACE_SECONDS, os._exit, [1]
        )
        deadline.daemon = True
        deadline.start()
        try:
            # A second signal ends the drain.
            await asyncio.wait_for(received.get(), seconds)
        except TimeoutError:
            return


if __name__ == "__main__":
    sys.exit(main())
