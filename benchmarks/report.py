"""What a run of the benchmarks is told with: a table, a file, a plot."""

import json
from typing import Any

from service.settings import ROOT

RESULTS = ROOT / "benchmarks" / "results"
OURS = "Flusk"
TITLES = {
    "read": "GET /foss/{id}",
    "list": "GET /foss?limit=50",
    "create": "POST /foss",
    "update": "PUT /foss/{id}",
}
PLOTTED = 32
HEAD = (
    "| work | connections | server | requests/s | ours x | p50, ms | p99, ms | CPU, µs/request |\n"
    "| --- | --- | --- | --- | --- | --- | --- | --- |"
)


def table(found: dict[str, Any]) -> str:
    """Return the medians as a table, each with how many times as fast the service is."""
    lines = [f"On {found['machine']}.", "", HEAD]
    medians = found["medians"]
    ours = {
        (one["work"], one["connections"]): one["rate"] for one in medians if one["server"] == OURS
    }
    for one in sorted(
        medians, key=lambda one: (list(TITLES).index(one["work"]), one["connections"])
    ):
        ratio = ours[one["work"], one["connections"]] / one["rate"]
        lines.append(
            f"| `{TITLES[one['work']]}` | {one['connections']} | {one['server']}"
            f" | {one['rate']:.0f} | {ratio:.2f} | {one['p50']:.2f} | {one['p99']:.2f}"
            f" | {one['cpu']:.0f} |"
        )
    lines += ["", "| server | memory at most, MiB |", "| --- | --- |"]
    lines += [f"| {name} | {used:.0f} |" for name, used in found["memory"].items()]
    return "\n".join(lines)


def write(found: dict[str, Any]) -> None:
    """Write the table, the figures and the plot to benchmarks/results/."""
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "rates.md").write_text(f"{table(found)}\n", encoding="utf-8")
    (RESULTS / "rates.json").write_text(f"{json.dumps(found, indent=1)}\n", encoding="utf-8")
    plot(found)


def plot(found: dict[str, Any]) -> None:
    """Draw requests a second with 32 connections, by work and server."""
    import matplotlib as mpl  # noqa: PLC0415  # Only `just bench` installs it.

    mpl.use("svg")
    from matplotlib import pyplot as plt  # noqa: PLC0415

    # The same figures give the same file.
    plt.rcParams["svg.hashsalt"] = "flusk"
    shown = [one for one in found["medians"] if one["connections"] == PLOTTED]
    servers = list(dict.fromkeys(one["server"] for one in shown))
    figure, axes = plt.subplots(figsize=(9, 4))
    width = 0.8 / len(servers)
    for place, server in enumerate(servers):
        rates = {one["work"]: one["rate"] for one in shown if one["server"] == server}
        places = [list(TITLES).index(work) + place * width for work in rates]
        axes.bar(places, list(rates.values()), width, label=server)
    middle = 0.4 - width / 2
    axes.set_xticks([index + middle for index in range(len(TITLES))], list(TITLES.values()))
    axes.set_ylabel("requests a second")
    axes.set_title("One worker each, 32 connections")
    axes.legend()
    figure.savefig(RESULTS / "rates.svg", metadata={"Date": None}, bbox_inches="tight")
    plt.close(figure)
