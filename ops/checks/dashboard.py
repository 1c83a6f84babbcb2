"""observe/dashboard.json, the dashboard of Grafana, built by Grafana's own library."""

import json
from itertools import count
from string import ascii_uppercase
from typing import NamedTuple

from grafana_foundation_sdk.builders import prometheus, table, timeseries
from grafana_foundation_sdk.builders.common import VizTooltipOptions
from grafana_foundation_sdk.builders.dashboard import Dashboard, QueryVariable, Row
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.common import TimeZoneUtc, TooltipDisplayMode
from grafana_foundation_sdk.models.dashboard import (
    DashboardCursorSync,
    DataSourceRef,
    VariableOption,
    VariableRefresh,
)
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from ops.console import CommandError, just
from service.settings import ROOT, Settings

FILE = ROOT / "observe" / "dashboard.json"
# As in observe/grafana/datasources/prometheus.yml.
SOURCE = DataSourceRef("prometheus", "prometheus")
WIDTH, HEIGHT = 8, 8
API = 'job="api", instance=~"$instance"'
RATE = "[$__rate_interval]"


class Graph(NamedTuple):
    """A panel with lines: a query for each legend."""

    title: str
    unit: str
    queries: dict[str, str]
    meaning: str = ""


class List(NamedTuple):
    """A panel with a row for each time series that a query has now."""

    title: str
    query: str
    meaning: str = ""


def _rate(metric: str, by: str, labels: str = API) -> str:
    return f"sum by ({by}) (rate({metric}{{{labels}}}{RATE}))"


def _quantile(quantile: float, metric: str, by: str) -> str:
    return f"histogram_quantile({quantile}, {_rate(f'{metric}_bucket', f'{by}, le')})"


def _sum(metric: str, by: str, labels: str = "") -> str:
    return f"sum by ({by}) ({metric}{{{API}{labels}}})"


def _errors(first_digit: int) -> dict[str, str]:
    """Return the responses by route, and by status, which has the first ones only later."""
    return {
        ROUTE: _rate(RESPONSES, "route", f'{API}, class="{first_digit}xx"'),
        "{{status}}": _rate(COUNT, "status", f'{API}, status=~"{first_digit}.."'),
    }


DURATION = "http_server_request_duration_seconds"
COUNT = f"{DURATION}_count"
RESPONSES = "http_server_responses_total"
POOL, INSTANCE, ROUTE = "{{pool}}", "{{instance}}", "{{route}}"
STATEMENT = "{{operation}} {{table}}"
USED = ', state="used"'
DROPPED = f"rate(nginx_connections_accepted{RATE}) - rate(nginx_connections_handled{RATE})"
BURN = "service:http_errors:ratio_{} / scalar(service:error_budget:ratio)"

ROWS: dict[str, list[Graph | List]] = {
    "What is wrong": [
        List(
            "Alerts",
            'ALERTS{alertstate="firing"}',
            "What to do: docs/operate.md has a section for each.",
        ),
        Graph(
            "Use of the error budget",
            "none",
            {window: BURN.format(window) for window in ("5m", "1h", "6h", "3d")},
            "At 1 the errors that the objective allows in 30 days last for 30 days.",
        ),
        Graph(
            "Checks of /readyz that succeed",
            "none",
            {"{{check}}": _sum("service_ready", "check"), "replicas": f"sum(up{{{API}}})"},
            "A check that fails on a replica is below the number of replicas.",
        ),
    ],
    "Rate, errors, duration": [
        Graph("Requests", "reqps", {ROUTE: _rate(RESPONSES, "route")}),
        Graph(
            "Errors of the service: 5xx",
            "reqps",
            _errors(5),
            "By route, and by status. The first of a status are counted for the route only.",
        ),
        Graph(
            "Errors of clients: 4xx",
            "reqps",
            _errors(4),
            "By route, and by status. 499: the client disconnected before the response.",
        ),
        Graph("Duration: median", "s", {ROUTE: _quantile(0.5, DURATION, "route")}),
        Graph("Duration: 99th percentile", "s", {ROUTE: _quantile(0.99, DURATION, "route")}),
        Graph(
            "Bodies",
            "Bps",
            {
                "received, {{route}}": _rate("http_server_request_body_size_bytes_sum", "route"),
                "sent, {{route}}": _rate("http_server_response_body_size_bytes_sum", "route"),
            },
        ),
        Graph(
            "Idempotent replays",
            "reqps",
            {INSTANCE: _rate("http_server_idempotency_replays_total", "instance")},
        ),
        Graph(
            "Imports and exports",
            "none",
            {
                "{{direction}}, begun per second": _rate(
                    "http_server_bulk_transfers_total", "direction"
                ),
                "{{instance}}, in progress": _sum("http_server_active_bulk_transfers", "instance"),
            },
            "They are part of the requests of their route, and take long.",
        ),
        Graph(
            "nginx: connections and requests",
            "none",
            {
                "active": "nginx_connections_active",
                "reading": "nginx_connections_reading",
                "writing": "nginx_connections_writing",
                "requests per second": f"rate(nginx_http_requests_total{RATE})",
                "dropped per second": DROPPED,
            },
            "Dropped: nginx had no connection left.",
        ),
    ],
    "Saturation": [
        Graph(
            "Pools: connections in use",
            "percentunit",
            {
                POOL: f"{_sum('db_client_connection_count', 'pool', USED)}"
                f" / {_sum('db_client_connection_max', 'pool')}"
            },
        ),
        Graph(
            "Pools: waiting",
            "none",
            {
                POOL: _sum("db_client_connection_pending_requests", "pool"),
                "{{pool}}, in vain per second": _rate(
                    "db_client_connection_timeouts_total", "pool"
                ),
            },
        ),
        Graph(
            "Pools: 99th percentile of the wait",
            "s",
            {POOL: _quantile(0.99, "db_client_connection_wait_time_seconds", "pool")},
        ),
        Graph(
            "Event loop: 99th percentile of the lag",
            "s",
            {INSTANCE: _quantile(0.99, "event_loop_lag_seconds", "instance")},
        ),
        Graph(
            "Processor", "percentunit", {INSTANCE: _rate("process_cpu_seconds_total", "instance")}
        ),
        Graph("Memory", "bytes", {INSTANCE: _sum("process_resident_memory_bytes", "instance")}),
        Graph(
            "Batches: requests for each statement",
            "none",
            {
                POOL: f"{_rate('db_client_batch_calls_sum', 'pool')}"
                f" / {_rate('db_client_batch_calls_count', 'pool')}"
            },
        ),
        Graph(
            "Batches: 99th percentile of the wait",
            "s",
            {POOL: _quantile(0.99, "db_client_batch_wait_seconds", "pool")},
        ),
        Graph(
            "Limits reached",
            "ops",
            {"{{limit}}": _rate("http_server_limits_reached_total", "limit")},
            "docs/limits.md says what each does.",
        ),
        Graph(
            "Requests in progress",
            "none",
            {INSTANCE: _sum("http_server_active_requests", "instance")},
        ),
        Graph(
            "Connections of clients",
            "none",
            {"{{state}}": _sum("http_server_connections", "state")},
        ),
        Graph(
            "Buffered bodies",
            "bytes",
            {INSTANCE: _sum("http_server_buffered_body_bytes", "instance")},
        ),
    ],
    "Database": [
        Graph(
            "Statements",
            "ops",
            {STATEMENT: _rate("db_client_operation_duration_seconds_count", "operation, table")},
        ),
        Graph(
            "Statements: 99th percentile of the duration",
            "s",
            {
                STATEMENT: _quantile(
                    0.99, "db_client_operation_duration_seconds", "operation, table"
                )
            },
        ),
        Graph(
            "Errors by class of the SQLSTATE",
            "ops",
            {"{{class}}": _rate("db_client_errors_total", "class")},
            "PostgreSQL's manual, appendix A.",
        ),
    ],
    "Deploys": [
        Graph(
            "Replicas by the revision that their build needs",
            "none",
            {"{{revision}}": _sum("service_build_info", "revision")},
        ),
        Graph(
            "Replicas by the revision that they see in the database",
            "none",
            {"{{revision}}": _sum("database_revision_info", "revision")},
        ),
        Graph("Draining", "none", {INSTANCE: _sum("service_draining", "instance")}),
        Graph(
            "Time since the start",
            "s",
            {
                "{{job}} {{instance}}": (
                    'time() - process_start_time_seconds{job=~"api|maintenance"}'
                )
            },
            "It falls to 0 when a process starts.",
        ),
        Graph(
            "Maintenance: time since the last success",
            "s",
            {INSTANCE: ('time() - maintenance_last_success_timestamp_seconds{job="maintenance"}')},
        ),
        Graph(
            "Maintenance: runs and deleted rows per hour",
            "none",
            {
                "{{outcome}}": 'increase(maintenance_runs_total{job="maintenance"}[1h])',
                "{{kind}}": 'increase(maintenance_deleted_rows_total{job="maintenance"}[1h])',
            },
        ),
    ],
}


def dashboard() -> str:
    """Return the dashboard as Grafana reads it."""
    found = (
        Dashboard("The service")
        .uid("service")
        .timezone(TimeZoneUtc)
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .refresh("30s")
        .time("now-1h", "now")
        .readonly()
        .with_variable(_instances())
    )
    ids = count(1)
    for title, panels in ROWS.items():
        found.with_row(Row(title).id(next(ids)))
        for panel in panels:
            made = _table(panel) if isinstance(panel, List) else _graph(panel)
            made.id(next(ids)).title(panel.title).description(panel.meaning)
            found.with_panel(made.datasource(SOURCE).span(WIDTH).height(HEIGHT))
    return json.dumps(found.build(), cls=JSONEncoder, indent=2, sort_keys=True) + "\n"


def _instances() -> QueryVariable:
    return (
        QueryVariable("instance")
        .datasource(SOURCE)
        .query('label_values(up{job="api"}, instance)')
        .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
        .include_all(True)
        .all_value(".*")
        .multi(True)
        .current(VariableOption(text="All", value="$__all"))
    )


def _graph(panel: Graph) -> timeseries.Panel:
    every_line = VizTooltipOptions().mode(TooltipDisplayMode.MULTI)
    made = timeseries.Panel().unit(panel.unit).min(0).fill_opacity(8).tooltip(every_line)
    for name, (legend, query) in zip(ascii_uppercase, panel.queries.items(), strict=False):
        target = prometheus.Dataquery().ref_id(name).expr(query).legend_format(legend)
        made.with_target(target.range())
    return made


def _table(panel: List) -> table.Panel:
    query = prometheus.Dataquery().ref_id("A").expr(panel.query).format(PromQueryFormat.TABLE)
    return table.Panel().show_header(True).with_target(query.instant())


def write(_settings: Settings, _arguments: list[str]) -> int:
    """Write the dashboard."""
    FILE.write_text(dashboard(), encoding="utf-8")
    return 0


def check(_settings: Settings, _arguments: list[str]) -> int:
    """Raise CommandError if the dashboard is stale."""
    if not FILE.exists() or FILE.read_text(encoding="utf-8") != dashboard():
        raise CommandError(f"observe/dashboard.json is stale: run `{just('fix')}`.")
    return 0
