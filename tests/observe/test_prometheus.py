"""A real Prometheus reads the metrics of a running service, and answers every query."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.parse import urlencode
from urllib.request import urlopen
from uuid import uuid4

import httpx
import pytest
import yaml

from service.settings import ROOT
from tests.factories import item
from tests.observe.expressions import FOLDER, expressions, rules, selectors
from tests.observe.programs import program
from tests.ports import free_port
from tests.socket.conftest import KEY, Service, running
from tests.waiting import SECONDS, wait_until

# What only faults, other load or nginx would bring about.
ELSEWHERE = {
    "ALERTS",
    "db_client_connection_wait_time_seconds_bucket",
}
# Of some sixty queries, so many are neither alerts nor of what is elsewhere.
MOST = 45


class Prometheus:
    """A running Prometheus."""

    def __init__(self, url: str) -> None:
        self.url = url

    def has(self, expression: str) -> bool:
        """Return whether a query has data. Fails if it is an error."""
        query = urlencode({"query": expression})
        try:
            with urlopen(f"{self.url}/api/v1/query?{query}") as response:  # noqa: S310
                return bool(json.load(response)["data"]["result"])
        except HTTPError as error:
            pytest.fail(f"{expression}: {error.read().decode()}")

    def lacks(self, queries: set[str]) -> set[str]:
        """Return the queries that still have no data after a while."""
        deadline = time.monotonic() + SECONDS
        while lacking := {query for query in queries if not self.has(query)}:
            if time.monotonic() > deadline:
                break
            time.sleep(0.1)  # Between two looks, not instead of one.
        return lacking

    def is_ready(self) -> bool:
        """Return whether it answers."""
        try:
            with urlopen(f"{self.url}/-/ready") as response:  # noqa: S310  # Of this machine.
                return bool(response.status == 200)
        except URLError:
            return False


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory, database_url: str) -> Iterator[Prometheus]:
    """Start the service, maintenance and a Prometheus that reads their metrics."""
    directory = tmp_path_factory.mktemp("prometheus")
    binds = {job: f"127.0.0.1:{free_port()}" for job in ("api", "maintenance")}
    path = program("prometheus")
    with (
        running(directory, database_url, METRICS_BIND=binds["api"]) as service,
        started(
            [sys.executable, "-m", "service.maintenance"],
            directory / "maintenance.log",
            METRICS_BIND=binds["maintenance"],
            DATABASE_URL=database_url,
        ),
    ):
        send_requests(service)
        listen = f"127.0.0.1:{free_port()}"
        command = [path, f"--config.file={configuration(directory, binds)}"]
        command += [f"--storage.tsdb.path={directory / 'data'}", f"--web.listen-address={listen}"]
        with started(command, directory / "prometheus.log"):
            found = Prometheus(f"http://{listen}")
            wait_until(found.is_ready)
            yield found


@contextmanager
def started(command: list[str], log: Path, **environment: str) -> Iterator[None]:
    """Run a program until the end of the block."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, cwd=ROOT, env=os.environ | environment, stdout=output, stderr=output
        )
    try:
        yield
    finally:
        process.terminate()
        process.wait()


def configuration(directory: Path, binds: dict[str, str]) -> Path:
    """Write observe/prometheus.yml with other addresses and times, and return its path."""
    read = yaml.safe_load((FOLDER / "prometheus.yml").read_text("utf-8"))
    jobs = [
        {"job_name": one["job_name"], "static_configs": [{"targets": [binds[one["job_name"]]]}]}
        for one in read["scrape_configs"]
        if one["job_name"] in binds
    ]
    assert len(jobs) == len(binds)
    path = directory / "prometheus.yml"
    text = yaml.safe_dump(
        {
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": [str(FOLDER / name) for name in read["rule_files"]],
            "scrape_configs": jobs,
        }
    )
    path.write_text(text, "utf-8")
    return path


def send_requests(service: Service) -> None:
    """Bring about what the metrics count."""
    headers = {"X-API-Key": KEY}
    with httpx.Client(base_url=service.url, headers=headers) as http:
        record = item(email=f"{uuid4().hex}@example.com")
        keyed = {"Idempotency-Key": uuid4().hex}
        created = http.post("/item", json=record, headers=keyed)
        replayed = http.post("/item", json=record, headers=keyed)
        read = http.get(created.headers["Location"])
        page = http.get("/item")
        export = http.get("/item", headers={"Accept": "application/x-ndjson"})
        taken = http.post("/item", json=record)
        ready = http.get("/readyz")
    too_many = "".join(f"X-{number}: a\r\n" for number in range(200))
    refused = service.raw(f"GET /item HTTP/1.1\r\nHost: a\r\n{too_many}\r\n".encode())

    assert replayed.headers["Idempotency-Replayed"] == "true"
    statuses = [one.status_code for one in (created, read, page, export, taken, ready)]
    assert statuses == [201, 200, 200, 200, 409, 200]
    assert refused.startswith(b"HTTP/1.1 431 ")


def concrete(expression: str) -> str:
    """Return an expression with a value for each variable of Grafana."""
    return expression.replace("$instance", ".*").replace("$__rate_interval", "1m")


def is_elsewhere(metric: str, matchers: str) -> bool:
    """Return whether a selector finds nothing here."""
    return metric in ELSEWHERE or metric.startswith("nginx_") or 'status=~"5.."' in matchers


def test_every_metric_with_its_labels_has_data(prometheus: Prometheus) -> None:
    """Also those of alerts, which themselves have no data while all is well."""
    wanted = {
        f"{metric}{concrete(matchers)}"
        for expression in expressions()
        for metric, matchers in selectors(expression)
        if not is_elsewhere(metric, matchers)
    }

    assert prometheus.lacks(wanted) == set()


def test_every_query_has_an_answer(prometheus: Prometheus) -> None:
    """None is an error, and all have data but alerts and those of what is elsewhere."""
    for expression in expressions():
        prometheus.has(concrete(expression))
    alerts = {rule["expr"] for rule in rules() if "alert" in rule}
    wanted = {
        concrete(expression)
        for expression in {*expressions()} - alerts
        if not any(is_elsewhere(*selector) for selector in selectors(expression))
    }

    assert len(wanted) > MOST
    assert prometheus.lacks(wanted) == set()


def test_no_alert_is_pending_while_all_is_well(prometheus: Prometheus) -> None:
    assert prometheus.lacks({"service:http_errors:ratio_3d", "up"}) == set()

    # On a busy machine an alert about time may be right.
    alerts = 'ALERTS{alertname!~"RouteIsSlow|EventLoopLags"}'
    # Before the first scrape there is no replica.
    wait_until(lambda: not prometheus.has(alerts))
