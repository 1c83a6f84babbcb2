"""The goals of the service, compared with the results of a run."""

from collections.abc import Iterator
from typing import Any

from benchmarks.servers import CONNECTIONS, EMPTY, OURS, PEERS, WORKS

HEAD = "| what | goal | found | met |\n| --- | --- | --- | --- |"
# How many times as many requests a second as a peer answers.
RATIOS = {
    "read": {"FastAPI": 2.4, "Litestar": 1.6, "Flask": 2.8},
    "list": {"FastAPI": 3.0, "Litestar": 2.3, "Flask": 3.5},
    "create": {"FastAPI": 2.4, "Litestar": 2.0, "Flask": 3.3},
    "update": {"FastAPI": 2.5, "Litestar": 2.1, "Flask": 3.5},
}
ALONE_PEER, ALONE_SLOWER = "Litestar", 1.1
NULL_ROUTE = 1.25
IDLE_MIB = 90
START_SECONDS = 1.5
IMPORT_SECONDS = 0.7
REPLICAS = 1.8

# By server, work and connections: the medians.
Figures = dict[tuple[str, str, int], dict[str, Any]]


def rows(found: dict[str, Any]) -> list[str]:
    """Return a table with a row for each goal."""
    figures = figures_of(found)
    return [HEAD, *_ratios(figures), *_tails(figures), *_alone(figures), *_costs(found)]


def figures_of(found: dict[str, Any]) -> Figures:
    """Return the medians by what they are of."""
    return {(one["server"], one["work"], one["connections"]): one for one in found["medians"]}


def null_route(found: dict[str, Any]) -> tuple[float, float]:
    """Return the null route's µs of processor time, and how many times an empty Quart's it is."""
    figures = figures_of(found)
    cost, empty = (figures[name, "empty", CONNECTIONS]["cpu"] for name in (OURS, EMPTY))
    return cost, cost / empty


def _ratios(figures: Figures) -> Iterator[str]:
    for work, wanted in RATIOS.items():
        rate = figures[OURS, work, CONNECTIONS]["rate"]
        for peer, least in wanted.items():
            ratio = rate / figures[peer, work, CONNECTIONS]["rate"]
            what = f"`{WORKS[work]}`, requests/s x {peer}"
            yield _row(what, f"≥ {least}", f"{ratio:.2f}", ratio >= least)


def _tails(figures: Figures) -> Iterator[str]:
    for work in RATIOS:
        times = {name: figures[name, work, CONNECTIONS]["p99"] for name in (OURS, *PEERS)}
        best = min(PEERS, key=times.__getitem__)
        yield _row(
            f"`{WORKS[work]}`, p99 with {CONNECTIONS} connections",
            f"≤ {times[best]:.1f} ms ({best})",
            f"{times[OURS]:.1f} ms",
            times[OURS] <= times[best],
        )


def _alone(figures: Figures) -> Iterator[str]:
    goal = f"≥ {1 / ALONE_SLOWER:.2f}"
    for work in RATIOS:
        what = f"`{WORKS[work]}`, 1 connection, requests/s x {ALONE_PEER}"
        if (OURS, work, 1) not in figures:
            yield _row(what, goal, None, False)
            continue
        ratio = figures[OURS, work, 1]["rate"] / figures[ALONE_PEER, work, 1]["rate"]
        yield _row(what, goal, f"{ratio:.2f}", ratio * ALONE_SLOWER >= 1)


def _costs(found: dict[str, Any]) -> Iterator[str]:
    _, times = null_route(found)
    what = "null route, CPU x an empty Quart application"
    yield _row(what, f"≤ {NULL_ROUTE}", f"{times:.2f}", times <= NULL_ROUTE)
    idle, start = (found["processes"][OURS][key] for key in ("idle", "start"))
    yield _row("memory idle", f"≤ {IDLE_MIB} MiB", f"{idle:.0f} MiB", idle <= IDLE_MIB)
    what = "start to first answer"
    yield _row(what, f"≤ {START_SECONDS} s", f"{start:.2f} s", start <= START_SECONDS)
    taken = found["import"]
    what = "import of `service`"
    yield _row(what, f"≤ {IMPORT_SECONDS} s", f"{taken:.2f} s", taken <= IMPORT_SECONDS)
    what = f"two replicas behind nginx x one, on {found['cores']} cores"
    goal = f"≥ {REPLICAS} where the cores are there"
    if found["replicas"] is None:
        yield _row(what, goal, None, False)
    else:
        one, two = found["replicas"]
        yield _row(what, goal, f"{two / one:.2f}", two / one >= REPLICAS)


def _row(what: str, goal: str, found: str | None, met: bool) -> str:
    if found is None:
        return f"| {what} | {goal} | not measured | - |"
    return f"| {what} | {goal} | {found} | {'yes' if met else 'no'} |"
