"""The expressions of rules and dashboard, and the metrics and labels in them."""

import json
import re
from collections.abc import Iterator
from itertools import chain
from typing import Any

import yaml
from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector

from service.metrics import CATALOGUE
from service.settings import ROOT

FOLDER = ROOT / "observe"
# What Prometheus adds to each sample.
TARGET = {"job", "instance"}
KEYWORDS = {"and", "or", "unless", "bool"}
RANGE = re.compile(r"\[[^]]*\]")
GROUPING = re.compile(r"\bby\s*\(([^)]*)\)")
# A name that is no function, with its matchers.
SELECTOR = re.compile(r"(?<![\w:.$])([a-zA-Z_:][\w:]*)(?!\s*[\w:(])\s*(\{[^}]*\})?")
MATCHER = re.compile(r'(\w+)\s*(?:=~|!~|!=|=)\s*"([^"]*)"')
# Of nginx/nginx-prometheus-exporter, and of Prometheus.
OTHERS: dict[str, set[str]] = {
    "nginx_up": set(),
    "nginx_connections_accepted": set(),
    "nginx_connections_active": set(),
    "nginx_connections_handled": set(),
    "nginx_connections_reading": set(),
    "nginx_connections_waiting": set(),
    "nginx_connections_writing": set(),
    "nginx_http_requests_total": set(),
    "up": set(),
    "ALERTS": {"alertname", "alertstate", "severity"},
}


def rules() -> list[dict[str, Any]]:
    """Return every rule."""
    groups = yaml.safe_load((FOLDER / "rules.yml").read_text("utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


def alerts() -> dict[str, dict[str, Any]]:
    """Return the rules that alert, by name."""
    return {rule["alert"]: rule for rule in rules() if "alert" in rule}


def panels() -> dict[str, list[str]]:
    """Return the expressions of each panel, by its title."""
    dashboard = json.loads((FOLDER / "dashboard.json").read_text("utf-8"))
    return {
        panel["title"]: [target["expr"] for target in panel["targets"]]
        for panel in dashboard["panels"]
        if panel["type"] != "row"
    }


def expressions() -> list[str]:
    """Return the expressions of all rules and panels."""
    return [*(rule["expr"] for rule in rules()), *chain(*panels().values())]


def selectors(expression: str) -> Iterator[tuple[str, str]]:
    """Yield each metric with its matchers, such as `{job="api"}`."""
    for name, matchers in SELECTOR.findall(GROUPING.sub("", RANGE.sub("", expression))):
        if name not in KEYWORDS:
            yield name, matchers


def labels(expression: str) -> set[str]:
    """Return the labels by which an expression groups."""
    return {label.strip() for found in GROUPING.findall(expression) for label in found.split(",")}


def exported() -> dict[str, set[str]]:
    """Return the labels of every metric that Prometheus can have."""
    found = dict(OTHERS)
    for metric in CATALOGUE:
        found[metric.name] = {*metric.labels}
        if metric.type == "histogram":
            del found[metric.name]
            for suffix, more in ({"bucket": {"le"}, "sum": set(), "count": set()}).items():
                found[f"{metric.name}_{suffix}"] = {*metric.labels, *more}
    process = CollectorRegistry()
    for collector in (ProcessCollector, PlatformCollector, GCCollector):
        collector(registry=process)
    for family in process.collect():
        found |= {sample.name: {*sample.labels} for sample in family.samples}
    for rule in rules():
        if "record" in rule:
            # `level:metric:operation`; the level is the label that is left.
            level = rule["record"].partition(":")[0]
            found[rule["record"]] = {level} - {"service"}
    return found
