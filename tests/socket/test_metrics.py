"""The metrics of a running service, as Prometheus reads them."""

import json
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.request import urlopen

import httpx
import psutil
import pytest
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from service.metrics import CATALOGUE
from service.settings import ROOT
from tests.factories import item
from tests.ports import free_port
from tests.socket.conftest import KEY, Service, running
from tests.waiting import wait_until

AUTH = {"X-API-Key": KEY}


class Measured(NamedTuple):
    """A running service, and the URL of its metrics."""

    service: Service
    metrics: str

    def samples(self) -> dict[str, float]:
        """Return every sample, as `name{label=value}`, labels in order of their names."""
        return {
            f"{one.name}{{{','.join(f'{key}={one.labels[key]}' for key in sorted(one.labels))}}}": (
                one.value
            )
            for metric in self.scrape()
            for one in metric.samples
        }

    def at_rest(self) -> dict[str, float]:
        """Return every sample, once no request is in progress: one ends after its last byte."""
        found: dict[str, float] = {}

        def is_at_rest() -> bool:
            found.update(self.samples())
            return found["http_server_active_requests{}"] == 0

        wait_until(is_at_rest)
        return found

    def scrape(self) -> list[Metric]:
        """Return what the parser of Prometheus' own library reads."""
        # Not by httpx, whose responses are checked against the contract here.
        with urlopen(self.metrics) as response:  # noqa: S310  # Of this machine.
            return [*text_string_to_metric_families(response.read().decode())]


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory, database_url: str) -> Iterator[Measured]:
    """Start a service with metrics."""
    bind = f"127.0.0.1:{free_port()}"
    directory = tmp_path_factory.mktemp("metrics")
    with running(directory, database_url, METRICS_BIND=bind) as service:
        yield Measured(service, f"http://{bind}/metrics")


def test_requests_are_counted_by_method_route_and_status(measured: Measured) -> None:
    before = measured.at_rest()
    url = measured.service.url
    created = httpx.post(f"{url}/item", json=item(), headers=AUTH)
    httpx.get(f"{url}{created.headers['Location']}", headers=AUTH)
    httpx.get(f"{url}/nowhere", headers=AUTH)
    httpx.get(f"{url}/item")
    after = measured.at_rest()

    def counted(name: str) -> float:
        return after[name] - before.get(name, 0)

    duration = "http_server_request_duration_seconds_count"
    assert counted(f"{duration}{{method=POST,route=/item,status=201}}") == 1
    assert counted(f"{duration}{{method=GET,route=/item/{{id}},status=200}}") == 1
    assert counted(f"{duration}{{method=GET,route=,status=404}}") == 1
    assert counted(f"{duration}{{method=GET,route=/item,status=401}}") == 1
    sent = json.dumps(item(), separators=(",", ":"))
    assert counted("http_server_request_body_size_bytes_sum{route=/item}") == pytest.approx(
        len(sent), abs=10
    )
    assert counted("http_server_response_body_size_bytes_count{route=/item}") == 2
    responses = "http_server_responses_total"
    assert counted(f"{responses}{{class=2xx,route=/item}}") == 1
    assert counted(f"{responses}{{class=4xx,route=/item}}") == 1
    assert counted(f"{responses}{{class=4xx,route=}}") == 1


def test_each_route_has_every_class_of_status_before_its_first_response(measured: Measured) -> None:
    samples = measured.samples()

    for route in ("", "/item", "/item/{id}", "/readyz"):
        for status_class in ("2xx", "5xx"):
            assert f"http_server_responses_total{{class={status_class},route={route}}}" in samples
    assert samples["http_server_responses_total{class=2xx,route=/docs/errors}"] == 0
    assert samples["db_client_connection_timeouts_total{pool=blocked writes}"] == 0


def test_statements_are_counted_by_operation_and_table(measured: Measured) -> None:
    before = measured.at_rest()
    url = measured.service.url
    httpx.post(f"{url}/item", json=item(), headers=AUTH)
    httpx.get(f"{url}/item", headers=AUTH)
    after = measured.at_rest()

    for operation in ("INSERT", "SELECT"):
        name = f"db_client_operation_duration_seconds_count{{operation={operation},table=item}}"
        assert after[name] == before.get(name, 0) + 1
    assert after["db_client_batch_calls_count{pool=writes}"] == (
        before["db_client_batch_calls_count{pool=writes}"] + 1
    )
    assert after["db_client_connection_count{pool=writes,state=idle}"] == 1


def test_the_copy_of_an_import_is_counted(measured: Measured) -> None:
    name = "db_client_operation_duration_seconds_count{operation=COPY,table=item_lines}"
    before = measured.samples().get(name, 0)
    headers = AUTH | {"Content-Type": "application/x-ndjson"}
    stored = httpx.post(f"{measured.service.url}/item", headers=headers, json=item())

    assert stored.json() == {"created": 1}
    assert measured.samples()[name] == before + 1


@pytest.mark.parametrize("requests", [1000, pytest.param(10_000, marks=pytest.mark.long)])
def test_what_clients_send_makes_no_time_series(measured: Measured, requests: int) -> None:
    """A path, a method and a key of its own in each request."""
    httpx.get(f"{measured.service.url}/readyz")
    _send(measured.service.port, range(100))
    before = measured.at_rest().keys()
    _send(measured.service.port, range(100, requests))

    assert measured.at_rest().keys() == before


def _send(port: int, numbers: range) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        answers = connection.makefile("rb")
        for number in numbers:
            connection.sendall(
                f"M{number} /path{number}?q={number} HTTP/1.1\r\nHost: a\r\n"
                f"Authorization: Bearer key{number}\r\nIdempotency-Key: {number}\r\n\r\n".encode()
            )
            head = b"".join(iter(answers.readline, b"\r\n"))
            [length] = re.findall(rb"(?i)content-length: (\d+)", head)
            answers.read(int(length))


def test_heads_that_are_too_large_are_counted_and_logged(measured: Measured) -> None:
    name = "http_server_limits_reached_total"
    before = measured.at_rest()
    for line in ("X: 1\r\n" * 101, f"X: {'a' * 200_000}\r\n"):
        measured.service.raw(f"GET / HTTP/1.1\r\nHost: a\r\n{line}\r\n".encode())
    after = measured.at_rest()

    for limit in ("HEADER_FIELDS", "HEAD_BYTES"):
        assert after[f"{name}{{limit={limit}}}"] == before[f"{name}{{limit={limit}}}"] + 1
    measured.service.wait_for("limit=HEAD_BYTES")
    measured.service.wait_for("The request has more than 100 header fields: send fewer.")


def test_every_metric_of_the_page_is_exported(measured: Measured) -> None:
    exported = {one.name for one in measured.scrape()}

    mine = [one.name for one in CATALOGUE if not one.name.startswith("maintenance")]
    assert {name.removesuffix("_total") for name in mine} <= exported
    assert not [name for name in exported if name.startswith("maintenance")]


def test_a_port_that_is_taken_is_one_clear_line(tmp_path: Path, database_url: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        bind = f"127.0.0.1:{taken.getsockname()[1]}"
        found = subprocess.run(
            [sys.executable, "-m", "service"],
            cwd=ROOT,
            env={
                "METRICS_BIND": bind,
                "DATABASE_URL": database_url,
                "BIND": f"127.0.0.1:{free_port()}",
            },
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    assert found.returncode == 1
    assert found.stderr == f"METRICS_BIND: can't listen on {bind}: Address already in use.\n"


def test_without_the_setting_nothing_listens(tmp_path: Path, database_url: str) -> None:
    with running(tmp_path, database_url) as service:
        listening = _listening_ports(service.process.pid)

    assert listening == {service.port}


def _listening_ports(pid: int) -> set[int]:
    connections = psutil.Process(pid).net_connections("inet")
    return {one.laddr.port for one in connections if one.status == psutil.CONN_LISTEN}
