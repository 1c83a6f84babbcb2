"""`GET /metrics` on METRICS_BIND, for Prometheus, on a thread of its own."""

from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import GCCollector, PlatformCollector, ProcessCollector, start_http_server

from service.metrics import REGISTRY
from service.settings import Settings, SettingsError


@contextmanager
def metrics_endpoint(settings: Settings) -> Iterator[None]:
    """Serve the metrics, with those of the process, if METRICS_BIND is set.

    Raises SettingsError if it can't listen there.
    """
    if not settings.metrics_bind:
        yield
        return
    host, _, port = settings.metrics_bind.rpartition(":")
    try:
        server, thread = start_http_server(int(port), host.strip("[]"), REGISTRY)
    except OSError as error:
        raise SettingsError(
            f"METRICS_BIND: can't listen on {settings.metrics_bind}: {error.strerror or error}."
        ) from error
    for collector in (ProcessCollector, PlatformCollector, GCCollector):
        collector(registry=REGISTRY)
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
