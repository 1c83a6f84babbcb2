"""The services of compose.yaml that observe the others."""

import json
import re
from typing import Any

import pytest
import yaml

from ops.checks.dashboard import SOURCE
from ops.containers.stack import OBSERVE
from tests.observe.expressions import FOLDER


def read(name: str) -> Any:
    """Return the content of a file of observe/."""
    return yaml.safe_load((FOLDER / name).read_text("utf-8"))


SERVICES: dict[str, dict[str, Any]] = read("../compose.yaml")["services"]
OBSERVING = {name: one for name, one in SERVICES.items() if "profiles" in one}


def test_they_run_only_on_request() -> None:
    assert OBSERVING.keys() == {"grafana", "nginx-exporter", "prometheus"}
    assert [one["profiles"] for one in OBSERVING.values()] == [[*OBSERVE.values()]] * 3


@pytest.mark.parametrize("name", OBSERVING)
def test_a_container_has_the_least_that_it_needs(name: str) -> None:
    one = OBSERVING[name]

    assert one["read_only"] is True
    assert one["cap_drop"] == ["ALL"]
    assert one["security_opt"] == ["no-new-privileges:true"]
    assert one["logging"]["options"] == {"max-size": "10m", "max-file": "3"}
    assert one["restart"] == "always"
    assert re.fullmatch(r"\d+m", one["mem_limit"])
    assert re.fullmatch(r"[a-z/-]+:v?\d+\.\d+\.\d+", one["image"])


def test_only_grafana_has_a_port_and_only_on_this_machine() -> None:
    ports = {name: one["ports"] for name, one in OBSERVING.items() if "ports" in one}

    assert ports == {"grafana": ["127.0.0.1:${GRAFANA_PORT:-3000}:3000"]}


def test_prometheus_shares_one_network_with_each_target() -> None:
    """With two in common a replica could have two addresses, and be two targets."""
    targets = set()
    for job in read("prometheus.yml")["scrape_configs"]:
        for found in job.get("static_configs", []):
            targets |= {*found["targets"]}
        for found in job.get("dns_sd_configs", []):
            targets |= {f"{name}:{found['port']}" for name in found["names"]}

    assert targets == {"api:9090", "maintenance:9090", "nginx-exporter:9113"}
    for target in targets:
        name, _, port = target.partition(":")
        one = SERVICES[name]
        assert {*one["networks"]} & {*OBSERVING["prometheus"]["networks"]} == {"backend"}
        assert name == "nginx-exporter" or one["environment"]["METRICS_BIND"].endswith(f":{port}")


def test_nginx_shows_its_numbers_on_the_inner_network_only() -> None:
    networks = SERVICES["nginx"]["networks"]
    [scraped] = OBSERVING["nginx-exporter"]["command"]

    assert networks == {"backend": {"aliases": ["status"]}, "public": None}
    assert "listen status:8081;" in SERVICES["nginx"]["environment"]["NGINX_STATUS"]
    assert scraped == "--nginx.scrape-uri=http://status:8081/"


def test_grafana_finds_its_data_and_its_dashboard() -> None:
    [source] = read("grafana/datasources/prometheus.yml")["datasources"]
    [provider] = read("grafana/dashboards/service.yml")["providers"]
    environment = OBSERVING["grafana"]["environment"]
    used = {
        (panel["datasource"]["type"], panel["datasource"]["uid"])
        for panel in json.loads((FOLDER / "dashboard.json").read_text())["panels"]
        if panel["type"] != "row"
    }

    assert used == {(source["type"], source["uid"])} == {(SOURCE.type_val, SOURCE.uid)}
    assert source["url"] == "http://prometheus:9090"
    assert source["jsonData"]["timeInterval"] == read("prometheus.yml")["global"]["scrape_interval"]
    mount = OBSERVING["grafana"]["volumes"][0].removesuffix(":ro,z")
    assert mount.startswith("./observe:/")
    inside = mount.partition(":")[2]
    assert environment["GF_PATHS_PROVISIONING"] == f"{inside}/grafana"
    path = environment["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert path == provider["options"]["path"] == f"{inside}/dashboard.json"
