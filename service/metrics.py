"""Every metric of the service: its name, its meaning and its labels.

Prometheus reads them from METRICS_BIND; docs/metrics.md is generated from this module. Names and
units follow Prometheus' conventions, and OpenTelemetry's semantic conventions for HTTP servers and
database clients. What a client sends is never the value of a label, so the number of time series is
bounded.
"""

from collections.abc import Sequence
from typing import NamedTuple

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
)

# Each would add a time series with the time when the process began to count.
disable_created_metrics()  # type: ignore[no-untyped-call]  # It has no types.
# Of the service, and of maintenance, which is a process of its own.
REGISTRY = CollectorRegistry()
MAINTENANCE_REGISTRY = CollectorRegistry()
# The upper bounds of histograms. Those of requests are OpenTelemetry's.
SECONDS_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)
SHORT_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)
BYTES_BUCKETS = (100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000)
CALLS = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class MetricRow(NamedTuple):
    """A metric in docs/metrics.md."""

    name: str
    type: str
    labels: tuple[str, ...]
    meaning: str


CATALOGUE: list[MetricRow] = []


def _counter(
    name: str, meaning: str, *labels: str, registry: CollectorRegistry = REGISTRY
) -> Counter:
    CATALOGUE.append(MetricRow(name, "counter", labels, meaning))
    return Counter(name, meaning, labels, registry=registry)


def _gauge(name: str, meaning: str, *labels: str, registry: CollectorRegistry = REGISTRY) -> Gauge:
    CATALOGUE.append(MetricRow(name, "gauge", labels, meaning))
    return Gauge(name, meaning, labels, registry=registry)


def _histogram(name: str, meaning: str, buckets: Sequence[float], *labels: str) -> Histogram:
    CATALOGUE.append(MetricRow(name, "histogram", labels, meaning))
    return Histogram(name, meaning, labels, registry=REGISTRY, buckets=buckets)


# --- Requests ---

CLASSES = ("1xx", "2xx", "3xx", "4xx", "5xx")
COUNTED_LIMITS = (
    "BODIES_BYTES",
    "CHEAP_READ_MILLISECONDS",
    "CHEAP_WRITE_MILLISECONDS",
    "CLIENT_SHARE",
    "HEADER_FIELDS",
    "HEAD_BYTES",
    "IDLE_SECONDS_FOR_OTHERS",
    "IMPORTS",
    "LARGE_BODIES",
    "POOL_WAIT_SECONDS",
    "PROGRESS_SECONDS",
    "QUEUE_SECONDS",
    "REQUESTS_IN_PROGRESS",
    "REQUEST_SECONDS",
    "TRANSFER_BYTES",
    "TRANSFER_BYTES_FOR_OTHERS",
    "UNREAD_BYTES",
    "WAITING_CONNECTIONS",
)

REQUEST_DURATION = _histogram(
    "http_server_request_duration_seconds",
    "Time from the head of a request to the last byte of its response. The method is `_OTHER` if "
    "it is not a usual one, the route is empty if none matches, the status is 499 if the client "
    "disconnected. Requests that the server refuses itself are not among them: a head that is not "
    "HTTP, and those of `http_server_limits_reached_total`.",
    SECONDS_BUCKETS,
    "method",
    "route",
    "status",
)
RESPONSES = _counter(
    "http_server_responses_total",
    "Requests of `http_server_request_duration_seconds` by the class of the status, such as `5xx`. "
    "Each route has every class from the start, at 0: Prometheus counts how much a time series "
    "grows, so it would miss the first errors if their time series began with them.",
    "route",
    "class",
)
REQUEST_BYTES = _histogram(
    "http_server_request_body_size_bytes",
    "Received size of the body of a request that has one.",
    BYTES_BUCKETS,
    "route",
)
RESPONSE_BYTES = _histogram(
    "http_server_response_body_size_bytes",
    "Sent size of the body of a response.",
    BYTES_BUCKETS,
    "route",
)
ACTIVE_REQUESTS = _gauge("http_server_active_requests", "Requests in progress.")
CLIENT_CONNECTIONS = _gauge(
    "http_server_connections",
    "Connections of clients that are `served`, or `waiting` for one of `MAX_CONNECTIONS`.",
    "state",
)
BUFFERED_BYTES = _gauge(
    "http_server_buffered_body_bytes",
    "Memory for bodies that are not parsed yet, of `MAX_BODIES_BYTES`.",
)
LIMITS_REACHED = _counter(
    "http_server_limits_reached_total",
    "How often a limit of [limits.md](limits.md) refused, delayed or ended a request, or closed a "
    f"connection: {', '.join(f'`{limit}`' for limit in COUNTED_LIMITS)}. The others show as the "
    "status of responses, or as errors of the database.",
    "limit",
)
for limit in COUNTED_LIMITS:
    # So that each is 0 from the start.
    LIMITS_REACHED.labels(limit)
IDEMPOTENCY_REPLAYS = _counter(
    "http_server_idempotency_replays_total",
    "Responses that repeat that of an earlier request with the same `Idempotency-Key`.",
)
STARTED_TRANSFERS = _counter(
    "http_server_bulk_transfers_total",
    "Transfers that began; the direction is `import` or `export`.",
    "direction",
)
ACTIVE_BULK_TRANSFERS = _gauge(
    "http_server_active_bulk_transfers", "Imports and exports in progress."
)

# --- The database ---

STATEMENT_DURATION = _histogram(
    "db_client_operation_duration_seconds",
    "Time of a statement that succeeded, by the table that it writes to or first reads from. An "
    "import has a `COPY` for each batch of its lines, into a temporary table.",
    SHORT_SECONDS,
    "operation",
    "table",
)
DATABASE_ERRORS = _counter(
    "db_client_errors_total",
    "Failed statements and connections, by the class of the SQLSTATE: its first two characters "
    "(PostgreSQL's manual, appendix A); without one `timeout`, `canceled`, `connection` or "
    "`other`. Some are part of normal work: 23 is a conflict (409), 55 a lock that is waited for, "
    "57 a statement that is repeated as a costly one, or a statement time-out (504).",
    "class",
)
POOLED_CONNECTIONS = _gauge(
    "db_client_connection_count",
    "Connections to the database, `used` or `idle`. A pool is for a "
    "[kind of work](operate.md#connections).",
    "pool",
    "state",
)
MOST_CONNECTIONS = _gauge(
    "db_client_connection_max", "The maximum number of connections of a pool.", "pool"
)
PENDING_REQUESTS = _gauge(
    "db_client_connection_pending_requests",
    "Requests and batches that wait for a connection.",
    "pool",
)
CONNECTION_WAIT_SECONDS = _histogram(
    "db_client_connection_wait_time_seconds",
    "Time for which a request or batch waited for a connection, if it had to wait.",
    SHORT_SECONDS,
    "pool",
)
CONNECTION_TIMEOUTS = _counter(
    "db_client_connection_timeouts_total",
    "Requests and batches that waited for a connection in vain.",
    "pool",
)
BATCH_CALLS = _histogram("db_client_batch_calls", "Requests that share a statement.", CALLS, "pool")
BATCH_WAIT_SECONDS = _histogram(
    "db_client_batch_wait_seconds",
    "Time for which the first of the requests that share a statement waited until it was sent.",
    SHORT_SECONDS,
    "pool",
)

# --- The process ---

EVENT_LOOP_LAG_SECONDS = _histogram(
    "event_loop_lag_seconds",
    "How late the event loop runs a callback. Every request in progress is delayed as much.",
    SHORT_SECONDS,
)
DRAINING = _gauge("service_draining", "1 if the service is about to stop, else 0.")
BUILD = _gauge(
    "service_build_info",
    "Always 1; the label is the revision of the schema that this build needs.",
    "revision",
)
IS_READY = _gauge(
    "service_ready",
    "1 if a check of `/readyz` succeeded when it was last made, else 0. Without requests for "
    "`/readyz` it does not change.",
    "check",
)
DATABASE_REVISION = _gauge(
    "database_revision_info",
    "Always 1; the label is the revision of the database's schema when `/readyz` last read it.",
    "revision",
)

# --- Maintenance, a process of its own ---

MAINTENANCE_RUNS = _counter(
    "maintenance_runs_total",
    "Runs of the periodic jobs, by outcome: `success` or `failure`.",
    "outcome",
    registry=MAINTENANCE_REGISTRY,
)
MAINTENANCE_SUCCESS = _gauge(
    "maintenance_last_success_timestamp_seconds",
    "When the periodic jobs last succeeded, in Unix time; 0 if never since the start.",
    registry=MAINTENANCE_REGISTRY,
)
MAINTENANCE_DELETED = _counter(
    "maintenance_deleted_rows_total",
    "Expired rows that were deleted.",
    "kind",
    registry=MAINTENANCE_REGISTRY,
)


def count_limit(limit: str) -> None:
    """Count that a limit was reached, by its name in service/limits.py."""
    LIMITS_REACHED.labels(limit).inc()
