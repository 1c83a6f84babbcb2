"""Fairness under load: `just bench overload [--quick]`; exits with 1 if a threshold is passed.

The load must not depend on the server's responses (open loop), and is up to 10 times what it can
answer. wrk is a closed loop: each connection waits for a response before its next request. A fixed
rate of requests is not possible either: with a slow server, more of them wait than this machine has
ports. So the load is a crowd: each client sends one request per second, waits at most 5 s for the
response, and has its own connection and address. At load 1 there are as many clients as the
server's maximum rate of successful responses per second; at load 10 there are ten times as many.

A successful response is a 2xx within the 5 s; its time counts from when the client was due to send,
so a wait for the connection is part of it.

Clients, PostgreSQL and nginx share the machine with the server: `cores` is what it got of it.
"""

import asyncio
import resource
import signal
import sys
import time
from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import uvloop

from benchmarks.collection import PATH
from benchmarks.crowd import COMMON, LIMIT, REFUSALS, WHOLE, Crowd, Tally, mixed
from benchmarks.health import recovery, watch
from benchmarks.processes import Running, running
from benchmarks.rates import machine
from benchmarks.records import clean, fill
from benchmarks.servers import OURS, PEERS, SERVERS, Server, ours
from ops.local import nginx
from ops.ports import find_free
from service.common.embedded import start_server
from service.settings import Settings

# --- The thresholds, which hold for the service, with nginx and without, at each load ---

# Good answers a second, of the best rate that was seen.
GOOD = 0.8
# Seconds: 99 % of the good answers, and 99 % of the answers of `/livez` on a new connection.
P99 = 2.0
# That of compose.yaml's health check.
HEALTH = 4.0
# Seconds until `/livez` answers within QUICK after the load has ended.
RECOVERY = 1.0
QUICK = 0.05

LOADS, QUICK_LOADS = (1, 2, 5, 10), (1, 10)
SECONDS, QUICK_SECONDS = 10.0, 5.0
# Before the best rate is measured; before a load counts, the first clients must have given up.
SETTLE = 2.0
SETTLE_LOADED = LIMIT + 1
# As many clients as give the best rate, without pauses.
SATURATING, QUICK_SATURATING = (32, 128), (32,)
SATURATING_SECONDS = 4.0
LONGEST_RECOVERY = 15.0
HEALTH_PAUSE = 0.2
# Seconds; when the clients are later than this, the figures are theirs.
LAG = 0.5
# Files that the generator and the servers need in addition to the connections.
FILES = 500
BEHIND = f"{OURS}, nginx"
HEAD = (
    "| server | load | clients | cores | good/s | x best | p50, s | p99, s | 429, 503/s | failed/s"
    " | late/s | /livez p99, s | recovery, s | held |\n"
    "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |"
)


@dataclass(frozen=True)
class Found:
    """What a load gave."""

    load: int
    clients: int
    cores: float
    seconds: float
    tally: Tally
    health: float
    recovery: float
    lag: float

    @property
    def good(self) -> float:
        """Return the good answers a second."""
        return len(self.tally.seconds) / self.seconds

    def holds(self, best: float) -> bool:
        """Return whether no threshold is passed."""
        return (
            # At load 1, no more is asked for than what was the best rate then.
            self.good >= GOOD * min(best, self.clients)
            and self.tally.quantile(99) < P99
            and self.health < HEALTH
            and self.recovery < RECOVERY
        )


class Cores:
    """Measures how many cores a server takes in a while."""

    def __init__(self, process: Running) -> None:
        self._process = process
        self._before, self._began = process.cpu_seconds(), time.monotonic()

    def taken(self) -> float:
        """Return the average since the beginning."""
        seconds = time.monotonic() - self._began
        return (self._process.cpu_seconds() - self._before) / seconds


async def saturate(
    server: Server, process: Running, weights: dict[str, int], crowds: tuple[int, ...]
) -> tuple[float, float]:
    """Return the most good answers a second, and the cores that they took."""
    rates = []
    for size in crowds:
        crowd, cores = Crowd(server.port, mixed(weights), size, pause=0), Cores(process)
        tally = await crowd.run(SETTLE, SATURATING_SECONDS)
        taken = cores.taken()
        crowd.end()
        rates.append((len(tally.seconds) / SATURATING_SECONDS, taken))
        await recovery(server.port, server.first_path, QUICK, LONGEST_RECOVERY)
    return max(rates)


async def burden(
    server: Server, process: Running, crowd: Crowd, load: int, seconds: float
) -> Found:
    """Let a crowd ask, then leave."""
    port, path = server.port, server.first_path
    health: list[float] = []
    watching = asyncio.create_task(watch(port, path, LIMIT, health, HEALTH_PAUSE))
    cores = Cores(process)
    tally = await crowd.run(SETTLE_LOADED, seconds)
    taken = cores.taken()
    watching.cancel()
    crowd.end()
    back = await recovery(port, path, QUICK, LONGEST_RECOVERY)
    worst = Tally(seconds=health).quantile(99)
    return Found(load, crowd.size, taken, seconds, tally, worst, back, crowd.lag)


def measure(server: Server, process: Running, weights: dict[str, int], *, quick: bool) -> bool:
    """Print a row for each load, and return whether no threshold was passed.

    The process is the server, or the service behind nginx.
    """
    seconds, loads = (QUICK_SECONDS, QUICK_LOADS) if quick else (SECONDS, LOADS)
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[0] - FILES
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        crowds = QUICK_SATURATING if quick else SATURATING
        # Without a load: what the machine itself adds to every recovery.
        idle = runner.run(recovery(server.port, server.first_path, QUICK, LONGEST_RECOVERY))
        saturation, cores = runner.run(saturate(server, process, weights, crowds))
        found = []
        for load in loads:
            crowd = Crowd(server.port, mixed(weights), min(round(load * saturation), most), pause=1)
            found.append(runner.run(burden(server, process, crowd, load, seconds)))
            print(f"{server.name}, load {load}: {found[-1].good:.0f}/s", file=sys.stderr)
    best = max(saturation, *(one.good for one in found))
    print(f"| {server.name} | best | - | {cores:.2f} | {best:.0f} |{' |' * 7} {idle:.2f} | |")
    for one in found:
        print(_row(server.name, one, best), flush=True)
    return all(one.holds(best) for one in found)


def _row(name: str, found: Found, best: float) -> str:
    others = dict(found.tally.others)
    refused = sum(others.pop(status, 0) for status in REFUSALS)
    late = others.pop("late", 0)
    cells = [
        name,
        str(found.load),
        str(found.clients),
        f"{found.cores:.2f}",
        f"{found.good:.0f}",
        f"{found.good / best:.2f}",
        f"{found.tally.quantile(50):.2f}",
        f"{found.tally.quantile(99):.2f}",
        *(f"{one / found.seconds:.0f}" for one in (refused, sum(others.values()), late)),
        f"{found.health:.2f}",
        f"{found.recovery:.2f}",
        "yes" if found.holds(best) else "no",
    ]
    if others:
        print(f"{name}, load {found.load}: failed by {others}", file=sys.stderr)
    if found.lag > LAG:
        print(
            f"{name}, load {found.load}: the clients themselves were {found.lag:.2f} s late;"
            " the machine has too few cores for this load",
            file=sys.stderr,
        )
    return f"| {' | '.join(cells)} |"


@contextmanager
def behind_nginx(url: str, directory: Path) -> Iterator[tuple[Server, Running]]:
    """Give nginx, with the configuration of the stack, and the service behind it."""
    service = ours(find_free())
    port = find_free()
    settings = Settings(_env_file=None)
    command = nginx.prepare(settings, directory, [f"127.0.0.1:{port}"], f"127.0.0.1:{service.port}")
    with running(service, url) as process:
        yield replace(service, name=BEHIND, command=command, environment={}, port=port), process


def main() -> int:
    """Measure on a PostgreSQL that is gone afterwards; return 1 if a threshold was passed."""
    parser = ArgumentParser(prog="bench overload", description=__doc__)
    parser.add_argument(
        "--quick", action="store_true", help="only the service, loads 1 and 10, short"
    )
    quick = parser.parse_args().quick
    # The servers end with it, as after Ctrl-C.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
    print(
        f"On {machine()}; the mix is {_described(WHOLE)}; peers know only"
        f" {_described(COMMON)}, and for `/livez` get `{PATH}/1`.\n"
    )
    print(HEAD, flush=True)
    peers = [one for one in SERVERS if one.name in PEERS]
    held = []
    with ExitStack() as stack:
        directory = Path(stack.enter_context(TemporaryDirectory()))
        postgres = stack.enter_context(start_server(directory / "postgres"))
        url = postgres.url()
        fill(url, ours())
        with running(service := ours(find_free()), url) as process:
            held.append(measure(service, process, WHOLE, quick=quick))
        clean(url)
        with behind_nginx(url, directory) as (front, process), running(front, url):
            held.append(measure(front, process, WHOLE, quick=quick))
        for one in [] if quick else [replace(ours(), name=f"{OURS}, the peers' mix"), *peers]:
            clean(url)
            with running(one, url) as process:
                measure(one, process, COMMON, quick=quick)
    print(
        f"\nHeld: at least {GOOD} of the best rate; p99 below {P99:.0f} s; `/livez` on a new"
        f" connection below {HEALTH:.0f} s (p99); recovery below {RECOVERY:.0f} s."
    )
    return 0 if all(held) else 1


def _described(weights: dict[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in weights.items())


if __name__ == "__main__":
    sys.exit(main())
