"""observe/: its rules and dashboard name what exists, and Prometheus accepts them."""

import json
import re
import subprocess
from pathlib import Path

import pytest
import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard

from ops.checks import dashboard
from ops.console import CommandError
from service import create_app
from service.metrics import CATALOGUE
from service.settings import ROOT, Settings
from tests.observe.expressions import (
    FOLDER,
    MATCHER,
    TARGET,
    alerts,
    exported,
    expressions,
    labels,
    selectors,
)
from tests.observe.programs import program

# A name of a metric in a page, such as `up`, `process_*` or `service_ready{check="database"}`.
MENTIONED = re.compile(r"`((?:http|db|event|service|maintenance|process|python|nginx)_[a-z_]+)[`{]")


@pytest.mark.parametrize(
    "arguments",
    [
        ["check", "config", "prometheus.yml"],
        ["check", "rules", "rules.yml"],
        ["test", "rules", "rules_test.yml"],
    ],
    ids=" ".join,
)
def test_prometheus_accepts_the_files(arguments: list[str]) -> None:
    done = subprocess.run(
        [program("promtool"), *arguments], cwd=FOLDER, capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stdout + done.stderr


def test_each_alert_fires_in_one_case_and_not_in_another() -> None:
    cases = yaml.safe_load((FOLDER / "rules_test.yml").read_text("utf-8"))["tests"]
    expected = [one for case in cases for one in case["alert_rule_test"]]

    for fires in (True, False):
        assert alerts().keys() == {
            one["alertname"] for one in expected if bool(one["exp_alerts"]) is fires
        }


def test_the_dashboard_is_that_of_the_code() -> None:
    assert dashboard.check(Settings(), []) == 0


def test_the_dashboard_has_nothing_that_its_schema_does_not_have() -> None:
    text = dashboard.FILE.read_text("utf-8")
    register_default_plugins()
    read = Dashboard.from_json(json.loads(text))

    assert json.loads(json.dumps(read, cls=JSONEncoder)) == json.loads(text)


def test_a_stale_dashboard_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dashboard, "FILE", tmp_path / "dashboard.json")

    with pytest.raises(CommandError, match=r"is stale: run `.*just fix`"):
        dashboard.check(Settings(), [])
    dashboard.write(Settings(), [])
    assert dashboard.check(Settings(), []) == 0


@pytest.mark.parametrize("expression", expressions())
def test_an_expression_names_metrics_and_labels_that_exist(expression: str) -> None:
    known = exported()
    found = [*selectors(expression)]

    assert found or expression == "vector(1 - 0.999)"
    assert {metric for metric, _ in found} <= known.keys()
    for metric, matchers in found:
        assert {label for label, _ in MATCHER.findall(matchers)} <= known[metric] | TARGET
    assert labels(expression) <= TARGET.union(*(known[metric] for metric, _ in found))


def test_routes_in_matchers_are_routes_of_the_service() -> None:
    found = {
        route
        for expression in expressions()
        for _, matchers in selectors(expression)
        for label, value in MATCHER.findall(matchers)
        if label == "route"
        for route in value.split("|")
    }

    assert found == {"/livez", "/readyz"}
    assert found <= {rule.rule for rule in create_app(Settings()).url_map.iter_rules()}


def test_the_metrics_that_the_documentation_names_exist() -> None:
    known = {*exported(), *(metric.name for metric in CATALOGUE)}
    for page in sorted((ROOT / "docs").glob("*.md")):
        assert {*MENTIONED.findall(page.read_text("utf-8"))} <= known, page


def test_each_metric_is_in_a_panel_or_a_rule() -> None:
    """Nobody looks at a metric that is in neither."""
    used = {metric for expression in expressions() for metric, _ in selectors(expression)}

    for metric in CATALOGUE:
        assert {metric.name, f"{metric.name}_bucket", f"{metric.name}_sum"} & used, metric.name


def test_no_metric_has_a_label_that_prometheus_sets() -> None:
    assert [metric.name for metric in CATALOGUE if TARGET & {*metric.labels}] == []


@pytest.mark.parametrize("alert", alerts())
def test_an_alert_has_a_section_in_the_documentation(alert: str) -> None:
    page = (ROOT / "docs" / "operate.md").read_text("utf-8")
    rule = alerts()[alert]

    assert rule["annotations"].keys() == {"summary", "description", "runbook_url"}
    assert rule["annotations"]["runbook_url"] == f"docs/operate.md#{alert.lower()}"
    assert f"\n### {alert}\n" in page
    assert rule["labels"]["severity"] in {"page", "ticket"}


def test_the_documentation_has_no_section_of_an_alert_that_is_gone() -> None:
    page = (ROOT / "docs" / "operate.md").read_text("utf-8")
    runbook = page.partition("\n## Alerts\n")[2].partition("\n## ")[0]

    assert re.findall(r"^### (\w+)$", runbook, re.MULTILINE) == [*alerts()]


def test_the_objective_is_written_once() -> None:
    assert (FOLDER / "rules.yml").read_text("utf-8").count("0.999") == 1
    assert "0.999" not in (FOLDER / "dashboard.json").read_text("utf-8")
