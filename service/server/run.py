"""Run hypercorn on uvloop with one worker; shut down with a drain and a deadline."""

import asyncio
import gc
import os
import resource
import signal
import socket
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import structlog
from hypercorn.asyncio import serve
from hypercorn.config import Config, Sockets

from service import create_app, limits
from service.common.contract import SchemaError
from service.common.database import COMMAND_GRACE_SECONDS, database_url, pool_sizes
from service.common.web import App, begin_drain
from service.failures import OperatorError
from service.logs import configure_logs, log_unraisable
from service.metrics_endpoint import metrics_endpoint
from service.server import connection_server, http1, memory, metrics
from service.server.accepting import new_event_loop
from service.server.access_log import AccessLog
from service.server.config import ServerConfig
from service.server.connections import Connections
from service.server.versions import require_versions
from service.settings import Settings, SettingsError, load_settings

log = structlog.get_logger("service")
BACKLOG = 2048
# For logs, libraries, the event loop, listening sockets.
OTHER_FILES = 50
FEWEST_WAITING = 100
# The thresholds of the garbage collector. Python's default of new objects, 700 to 2000, is reached
# by a few requests, and nearly all objects of requests in progress are still in use. With its
# defaults for the older generations, 10 each, a full collection, which stops all requests, would
# begin only after a million new objects, such as evicted statements. (Python 3.14 has no generation
# in the middle, and ignores the last value.)
THRESHOLDS = (10_000, 4, 3)


def main(create: Callable[[Settings], App] = create_app) -> int:
    """Serve what `create` makes until SIGTERM or SIGINT; return the exit code."""
    try:
        # Nearly all objects of the start stay: the garbage collector need never traverse them. What
        # little garbage there is among them stays too.
        gc.disable()
        require_versions()
        settings = load_settings()
        configure_logs(settings)
        sys.unraisablehook = log_unraisable
        waiting = reserve_descriptors(settings.max_connections, settings.database_pool_size)
        connections = Connections(settings.max_connections, waiting, settings.path_prefix)
        connection_server.register(connections)
        app = create(settings)
        http1.register(app.long_steps)
        # Before serving: a failure is one line, and starting PostgreSQL delays no request.
        database_url(settings)
        config = server_config(settings)
        # hypercorn's own errors name neither the setting nor the address.
        config.create_sockets = partial(open_sockets, settings.bind)  # type: ignore[method-assign]
        traces = with_traces(app, settings)
        if settings.metrics_bind:
            metrics.measure(app, connections, config)
        gc.freeze()
        gc.set_threshold(*THRESHOLDS)
        gc.enable()
        with (
            metrics_endpoint(settings),
            traces as served,
            asyncio.Runner(loop_factory=partial(new_event_loop, connections)) as runner,
        ):
            memory.give_back(runner.get_loop())
            stop = Stop(partial(begin_drain, app), settings)
            runner.run(serve(served, config, shutdown_trigger=stop))
    except (OperatorError, SchemaError) as error:
        print(error, file=sys.stderr)  # noqa: T201  # There may be no log yet.
        return 1
    finally:
        gc.enable()
    for path in (bind[5:] for bind in settings.bind if bind.startswith("unix:")):
        Path(path).unlink(missing_ok=True)
    return 0


def with_traces(app: App, settings: Settings) -> AbstractContextManager[Any]:
    """Return the application, with traces if TRACES_URL is set.

    Raises SettingsError if OpenTelemetry is not installed.
    """
    if not settings.traces_url:
        return nullcontext(app)
    try:
        from service.server.traces import traced  # noqa: PLC0415  # Without traces it costs nothing.
    except ModuleNotFoundError as error:
        if not (error.name or "").startswith("opentelemetry"):
            raise
        raise SettingsError(
            f"TRACES_URL: {error.name} is missing: install the packages of "
            "requirements/production.txt, or leave TRACES_URL empty."
        ) from error
    return traced(app, settings)


def server_config(settings: Settings) -> ServerConfig:
    """Return hypercorn's configuration."""
    config = ServerConfig()
    config.bind = list(settings.bind)
    config.backlog = BACKLOG
    config.logger_class = AccessLog
    config.access_log_sampling = settings.access_log_sampling
    config.graceful_timeout = settings.request_timeout
    # A proxy in front must close an idle connection first: see docs/deploy.md.
    config.keep_alive_timeout = settings.keep_alive_timeout
    # `close_after_answer` of a connection relies on this number.
    config.keep_alive_max_requests = sys.maxsize
    # The queue for the application: the body of most requests, and its end.
    config.max_app_queue_size = 2
    # So that a head has the same limit whether it arrives in pieces or not.
    config.h11_max_incomplete_size = limits.HEAD_BYTES.value
    return config


def reserve_descriptors(connections: int, pool_size: int) -> int:
    """Raise the limit of open files if needed; return how many connections can wait for a place.

    Raises SettingsError if the system allows too few open files.
    """
    # Each connection to the database may need another one, to cancel its statement.
    database = 2 * sum(pool_sizes(pool_size).values())
    clients = (limits.HEALTH_CONNECTIONS, limits.REFUSED_CONNECTIONS)
    other = OTHER_FILES + database + sum(limit.value for limit in clients)
    most_waiting = limits.WAITING_CONNECTIONS.value
    needed = connections + other + most_waiting
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return most_waiting
    allowed = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
    waiting = allowed - connections - other
    if waiting < FEWEST_WAITING:
        least = connections + other + FEWEST_WAITING
        raise SettingsError(
            f"MAX_CONNECTIONS: {connections} need {least} open files, the limit is {hard}: raise "
            "the limit (`ulimit -Hn`, `LimitNOFILE`), or lower MAX_CONNECTIONS or "
            "DATABASE_POOL_SIZE."
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    return waiting


def open_sockets(binds: Sequence[str]) -> Sockets:
    """Listen on each address. Raises SettingsError if one is not available."""
    opened = []
    for bind in binds:
        config = Config()
        config.bind = [bind]
        try:
            [one] = config.create_sockets().insecure_sockets
            # Connections inherit them. The kernel's defaults are megabytes.
            one.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, limits.SEND_BUFFER_BYTES.value)
            one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, limits.RECEIVE_BUFFER_BYTES.value)
            # Before the next address, which may be the same.
            one.listen(BACKLOG)
        except OSError as error:
            raise SettingsError(
                f"BIND: can't listen on {bind}: {error.strerror or error}."
            ) from error
        opened.append(one)
    return Sockets([], opened, [])


class Stop:
    """hypercorn's shutdown trigger: a signal, and after SIGTERM the drain."""

    def __init__(self, begin_drain: Callable[[], None], settings: Settings) -> None:
        self._begin_drain = begin_drain
        self._drain_seconds = settings.drain_seconds
        # The longest that a request in flight may take, with its commit.
        self._request_seconds = (
            settings.request_timeout + settings.database_statement_timeout + COMMAND_GRACE_SECONDS
        )

    async def __call__(self) -> None:
        """Return when the service must stop listening."""
        received: asyncio.Queue[signal.Signals] = asyncio.Queue()
        loop = asyncio.get_running_loop()
        for name in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(name, received.put_nowait, name)
        first = await received.get()
        # Ctrl-C comes from a terminal: there is no proxy to drain.
        seconds = self._drain_seconds if first is signal.SIGTERM else 0
        log.info("stopping", signal=first.name, drain_seconds=seconds)
        self._begin_drain()
        # On Python 3.12 and later hypercorn waits for open connections without a time-out.
        deadline = threading.Timer(seconds + self._request_seconds, os._exit, [1])
        deadline.daemon = True
        deadline.start()
        try:
            # A second signal ends the drain.
            await asyncio.wait_for(received.get(), seconds)
        except TimeoutError:
            return
