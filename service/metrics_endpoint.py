"""`GET /metrics` on METRICS_BIND, for Prometheus, on a thread of its own."""

import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import ThreadingHTTPServer
from threading import Thread
from typing import Any

from prometheus_client import (
    CollectorRegistry,
    GCCollector,
    MetricsHandler,
    PlatformCollector,
    ProcessCollector,
)

from service.metrics import REGISTRY
from service.settings import Settings, SettingsError

# How long a client may keep a thread without sending or reading anything.
SILENT_SECONDS = 10


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        # It is no error of the service that a client has left.
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _Server6(_Server):
    address_family = socket.AF_INET6


@contextmanager
def metrics_endpoint(
    settings: Settings,
    registry: CollectorRegistry = REGISTRY,
    silent_seconds: float = SILENT_SECONDS,
) -> Iterator[None]:
    """Serve the metrics, with those of the process, if METRICS_BIND is set.

    Raises SettingsError if it can't listen there.
    """
    if not settings.metrics_bind:
        yield
        return
    host, _, port = settings.metrics_bind.rpartition(":")

    class Handler(MetricsHandler):
        timeout = silent_seconds

    server_class = _Server6 if ":" in host else _Server
    try:
        server = server_class((host.strip("[]"), int(port)), Handler.factory(registry))
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise SettingsError(
            f"METRICS_BIND: can't listen on {settings.metrics_bind}: {reason}."
        ) from error
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    collectors = [
        collector(registry=registry)
        for collector in (ProcessCollector, PlatformCollector, GCCollector)
    ]
    try:
        yield
    finally:
        for collector in collectors:
            registry.unregister(collector)
        server.shutdown()
        server.server_close()
        thread.join()
