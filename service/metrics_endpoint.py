"""`GET /metrics` on METRICS_BIND, for Prometheus, on a thread of its own."""

from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import (
    CollectorRegistry,
    GCCollector,
    PlatformCollector,
    ProcessCollector,
    start_http_server,
)

from service.metrics import REGISTRY
from service.settings import Settings, SettingsError


@contextmanager
def metrics_endpoint(settings: Settings, registry: CollectorRegistry = REGISTRY) -> Iterator[None]:
    """Serve the metrics, with those of the process, if METRICS_BIND is set.

    Raises SettingsError if it can't listen there.
    """
    if not settings.metrics_bind:
        yield
        return
    host, _, port = settings.metrics_bind.rpartition(":")
    try:
        server, thread = start_http_server(int(port), host.strip("[]"), registry)
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise SettingsError(
            f"METRICS_BIND: can't listen on {settings.metrics_bind}: {reason}."
        ) from error
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
