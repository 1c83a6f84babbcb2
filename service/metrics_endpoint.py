"""`GET /metrics` on METRICS_BIND, for Prometheus, on a thread of its own."""

import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import ThreadingHTTPServer
from threading import BoundedSemaphore, Thread
from typing import Any

import structlog
from prometheus_client import (
    CollectorRegistry,
    GCCollector,
    MetricsHandler,
    PlatformCollector,
    ProcessCollector,
)

from service.metrics import REGISTRY
from service.settings import Settings, SettingsError

log = structlog.get_logger("service")
# How long a client may keep a thread without sending or reading anything.
SILENT_SECONDS = 10
# The most that are served at the same time; others are disconnected.
CLIENTS = 20


class _Server(ThreadingHTTPServer):
    """A server of a bounded number of clients, each on a thread."""

    def __init__(self, host: str, port: int, handler: type[MetricsHandler]) -> None:
        self._places = BoundedSemaphore(CLIENTS)
        self.address_family = socket.getaddrinfo(host, port)[0][0]
        super().__init__((host, port), handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        if self._places.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._places.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        # A client has left, or has sent what is not HTTP. The error's text may quote the request.
        del request, client_address
        log.info("metrics not sent", error=type(sys.exception()).__name__)


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

    try:
        server = _Server(host.strip("[]"), int(port), Handler.factory(registry))
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
