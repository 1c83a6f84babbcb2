"""docs/metrics.md, generated from service/metrics.py."""

from ops.console import CommandError, just
from service.metrics import CATALOGUE, MetricRow
from service.settings import ROOT, Settings

PAGE = ROOT / "docs" / "metrics.md"
HEAD = """\
# Metrics

What Prometheus reads from `GET /metrics` on `METRICS_BIND`. `./just fix` generates this page from
[service/metrics.py](../service/metrics.py). The metrics of the process itself, `process_*` and
`python_*`, are those of [prometheus-client](https://prometheus.github.io/client_python/). How to
use them: [operate.md](operate.md#metrics).

| metric | type | labels | meaning |
| --- | --- | --- | --- |
"""


def page() -> str:
    """Return the content of the page."""
    return HEAD + "".join(map(_row, CATALOGUE))


def _row(one: MetricRow) -> str:
    labels = ", ".join(f"`{label}`" for label in one.labels)
    return f"| `{one.name}` | {one.type} | {labels} | {one.meaning} |\n"


def write(_settings: Settings, _arguments: list[str]) -> int:
    """Write the page."""
    PAGE.write_text(page(), encoding="utf-8")
    return 0


def check(_settings: Settings, _arguments: list[str]) -> int:
    """Raise CommandError if the page is stale."""
    if not PAGE.exists() or PAGE.read_text(encoding="utf-8") != page():
        raise CommandError(f"docs/metrics.md is stale: run `{just('fix')}`.")
    return 0
