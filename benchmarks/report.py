"""The output of a benchmark run: a table, a file, a plot."""

import json
from typing import Any

from benchmarks import goals
from benchmarks.servers import CONNECTIONS, OURS, WORKS
from service.name import NAME
from service.settings import ROOT

RESULTS = ROOT / "benchmarks" / "results"
HEAD = (
    "| work | connections | server | requests/s | ours x | p50, ms | p99, ms | CPU, µs/request |\n"
    "| --- | --- | --- | --- | --- | --- | --- | --- |"
)
PROCESSES_HEAD = (
    "| server | start, s | memory idle, MiB | memory at most, MiB |\n| --- | --- | --- | --- |"
)
OURS_COLOUR = "#d1333d"
COLOURS = ["#4c78a8", "#72a98f", "#b39ac4", "#e3b23c", "#9aa0a6"]


def table(found: dict[str, Any]) -> str:
    """Return the medians as a table, each with how many times as fast the service is."""
    rounds = "one round" if found["rounds"] == 1 else f"medians of {found['rounds']} rounds"
    lines = [f"On {found['machine']}; {rounds}.", "", HEAD]
    medians = found["medians"]
    ours = {
        (one["work"], one["connections"]): one["rate"] for one in medians if one["server"] == OURS
    }
    for one in sorted(
        medians, key=lambda one: (list(WORKS).index(one["work"]), one["connections"])
    ):
        ratio = ours[one["work"], one["connections"]] / one["rate"]
        lines.append(
            f"| `{WORKS[one['work']]}` | {one['connections']} | {one['server']}"
            f" | {one['rate']:.0f} | {ratio:.2f} | {one['p50']:.2f} | {one['p99']:.2f}"
            f" | {one['cpu']:.0f} |"
        )
    cost, times = goals.null_route(found)
    empty = f"{times:.2f} times that of an empty Quart application"
    lines += ["", f"Null route: {cost:.0f} µs, {empty}.", "", PROCESSES_HEAD]
    lines += [
        f"| {name} | {one['start']:.2f} | {one['idle']:.0f} | {one['peak']:.0f} |"
        for name, one in found["processes"].items()
    ]
    lines += ["", f"Import of `service`: {found['import']:.2f} s.", "", _replicas(found), ""]
    return "\n".join([*lines, *goals.rows(found)])


def _replicas(found: dict[str, Any]) -> str:
    if found["replicas"] is None:
        return "Two replicas: not measured, because nginx is missing."
    one, two = found["replicas"]
    return (
        f"Two replicas: {two / one:.2f} times one, both behind nginx ({two:.0f}/s, {one:.0f}/s), on"
        f" {found['cores']} cores, which wrk and PostgreSQL share; the goal of {goals.REPLICAS} is"
        " for where the cores are there."
    )


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
    plt.rcParams["svg.hashsalt"] = NAME
    rates = {
        (one["work"], one["server"]): one["rate"]
        for one in found["medians"]
        if one["connections"] == CONNECTIONS
    }
    servers = list(dict.fromkeys(server for _, server in rates))
    peers = [server for server in servers if server != OURS]
    colours = {OURS: OURS_COLOUR} | dict(zip(peers, COLOURS, strict=True))
    groups = {work: [name for name in servers if (work, name) in rates] for work in WORKS}
    figure, axes = plt.subplots(figsize=(11, 4.5))
    width = 0.85 / max(len(group) for group in groups.values())
    for server in servers:
        # A group is as wide as it has bars, and stands in the middle of its place.
        bars = {
            index + (group.index(server) - (len(group) - 1) / 2) * width: rates[work, server]
            for index, (work, group) in enumerate(groups.items())
            if server in group
        }
        drawn = axes.bar(
            list(bars), list(bars.values()), width, label=server, color=colours[server]
        )
        weight = "bold" if server == OURS else "normal"
        axes.bar_label(drawn, fmt="{:.0f}", padding=2, fontsize=7, fontweight=weight)
    axes.set_xticks(range(len(groups)), [WORKS[work] for work in groups])
    axes.margins(x=0.01)
    axes.set_ylabel("requests a second")
    axes.set_title(f"Requests a second, one worker each, {CONNECTIONS} connections")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
    figure.savefig(RESULTS / "rates.svg", metadata={"Date": None}, bbox_inches="tight")
    plt.close(figure)
