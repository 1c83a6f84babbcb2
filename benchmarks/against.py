"""The working tree compared with another commit: `just bench --against COMMIT`.

Or with itself, without some settings: `just bench --with METRICS_BIND=127.0.0.1:9090`.

Both services run at the same time, each with its own database in one PostgreSQL. A pair is the
same requests to each, one after the other in random order, over connections that stay
open. It gives one ratio, in which the changing speed of the machine cancels out. Both services are
restarted several times, because the layout of a process in memory changes its speed by some
percent for as long as it lives. Each ratio is the median of all pairs; its interval of 95 % is a
bootstrap's, over the starts and over the pairs of each start.
"""

import math
import random
import subprocess
import tarfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from shutil import copyfile, which
from statistics import fmean, median
from tempfile import TemporaryDirectory

from benchmarks.clients import Clients, connected, requests_of
from benchmarks.processes import Running, psql, running
from benchmarks.records import clean, fill
from benchmarks.servers import CONNECTIONS, WORKS, Server, ours
from benchmarks.wrk import Sample
from ops.ports import find_free
from service.common.embedded import start_server
from service.settings import ROOT

# Of a work, before it is measured, and in each half of a pair.
WARM_REQUESTS = 400
REQUESTS = 100
PAIRS, QUICK_PAIRS = 40, 15
STARTS, QUICK_STARTS = 8, 3
RESAMPLES = 2000
LOCK = Path("requirements", "production.txt")
HEAD = (
    "| request | pairs | CPU, µs/request | CPU x | 95 % | requests/s | requests/s x | 95 % |\n"
    "| --- | --- | --- | --- | --- | --- | --- | --- |"
)
SCALES = ("cpu", "rate")

# A logarithm of a ratio for each pair of each start.
Logarithms = Sequence[Sequence[float]]


@dataclass(frozen=True)
class Loaded:
    """A server that runs, and the connections to it."""

    server: Running
    clients: Clients

    def load(self, requests: Sequence[bytes]) -> Sample:
        """Return requests a second, and the processor time in µs a request."""
        before = self.server.cpu_seconds()
        seconds = self.clients.send_all(requests)
        spent = self.server.cpu_seconds() - before
        return {"rate": len(requests) / seconds, "cpu": spent / len(requests) * 1e6}


@dataclass(frozen=True)
class Pair:
    """What the same requests took with the other commit and with the working tree."""

    old: Sample
    new: Sample

    def logarithm(self, scale: str) -> float:
        """Return the logarithm of the working tree's figure divided by the commit's."""
        return math.log(self.new[scale] / self.old[scale])


# By work: the pairs of each start.
Pairs = dict[str, list[list[Pair]]]


@dataclass(frozen=True)
class Ratio:
    """A ratio, and the interval in which it is with a probability of 95 %."""

    value: float
    low: float
    high: float


def against_commit(commit: str, *, starts: int, pairs: int, works: Sequence[str]) -> None:
    """Measure a commit and the working tree, and print the ratios."""
    if which("git") is None:
        raise SystemExit("--against: git is missing: install it.")
    sha = git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{commit}^{{commit}}")
    with checkout(sha.decode().strip()) as old:
        new = replace(ours(find_free()), name="The working tree")
        run(old, new, starts=starts, pairs=pairs, works=works)


def with_settings(
    settings: Sequence[str], *, starts: int, pairs: int, works: Sequence[str]
) -> None:
    """Measure the working tree without and with settings, `NAME=VALUE`; print the ratios."""
    old = replace(ours(find_free()), name="the working tree")
    new = ours(find_free())
    environment = new.environment | dict(one.split("=", 1) for one in settings)
    new = replace(new, name=f"With {' '.join(settings)}", environment=environment)
    run(old, new, starts=starts, pairs=pairs, works=works)


def run(old: Server, new: Server, *, starts: int, pairs: int, works: Sequence[str]) -> None:
    """Measure both, and print the ratios."""
    with (
        TemporaryDirectory() as directory,
        start_server(Path(directory) / "postgres") as postgres,
    ):
        urls = {}
        for name, server in {"old": old, "new": new}.items():
            psql(postgres.url(), f"CREATE DATABASE {name}")
            urls[server.name] = postgres.url(name)
            fill(urls[server.name], server)
        found = measure((old, new), urls, starts, pairs, works)
    print(f"\n{new.name} beside {old.name}; new figures divided by old ones.\n\n{table(found)}")


@contextmanager
def checkout(sha: str) -> Iterator[Server]:
    """Give the service of a commit, from a folder that is gone afterwards."""
    local = ROOT / ".local"
    local.mkdir(mode=0o700, exist_ok=True)
    with TemporaryDirectory(prefix="against-", dir=local) as name:
        folder = Path(name)
        archive = folder / "commit.tar"
        git("archive", f"--output={archive}", sha)
        with tarfile.open(archive) as file:
            file.extractall(folder, filter="data")
        if (ROOT / ".env").exists():
            copyfile(ROOT / ".env", folder / ".env")
        server = replace(ours(find_free()), name=f"Commit {sha[:12]}", folder=folder)
        if (folder / LOCK).read_bytes() != (ROOT / LOCK).read_bytes():
            environment = local / "against"
            command: list[str | Path] = [ROOT / "just", "--setup", ".local/against", folder / LOCK]
            subprocess.run(command, check=True)
            server = replace(server, programs=environment / "bin")
        yield server


def measure(
    variants: tuple[Server, Server],
    urls: dict[str, str],
    starts: int,
    pairs: int,
    works: Sequence[str],
) -> Pairs:
    """Start both as often as is wanted, and load them in turn."""
    chance = random.Random(0)  # noqa: S311  # It orders, it keeps no secret.
    found: Pairs = {work: [] for work in works}
    runs = count()
    for start in range(starts):
        # Nor does the order of sets differ between the two.
        seed = {"PYTHONHASHSEED": str(start)}
        with ExitStack() as stack:
            old, new = (
                Loaded(
                    stack.enter_context(
                        running(replace(one, environment=one.environment | seed), urls[one.name])
                    ),
                    stack.enter_context(connected(one.port, CONNECTIONS)),
                )
                for one in variants
            )
            for work in works:
                found[work].append([])
                warm = requests_of(work, WARM_REQUESTS, next(runs))
                old.load(warm)
                new.load(warm)
            for _ in range(pairs):
                for work in works:
                    requests = requests_of(work, REQUESTS, next(runs))
                    taken = {one: one.load(requests) for one in chance.sample((old, new), 2)}
                    found[work][-1].append(Pair(taken[old], taken[new]))
        for url in urls.values():
            clean(url)
        ratios = ", ".join(
            f"{work} {math.exp(median(pair.logarithm('cpu') for pair in found[work][-1])):.3f}"
            for work in works
        )
        print(f"Start {start + 1} of {starts}: CPU x {ratios}", flush=True)
    return found


def table(found: Pairs) -> str:
    """Return the medians and the ratios of each work, and the ratios of all works together."""
    lines = [HEAD]
    for work, starts in found.items():
        every = [pair for start in starts for pair in start]
        cells = [f"`{WORKS[work]}`", str(len(every))]
        for scale in SCALES:
            old, new = (
                median(getattr(pair, side)[scale] for pair in every) for side in ("old", "new")
            )
            ratio = ratio_of([[pair.logarithm(scale) for pair in start] for start in starts])
            cells += [f"{old:.0f} → {new:.0f}", *_cells(ratio)]
        lines.append(f"| {' | '.join(cells)} |")
    cells = ["all, geometric mean", str(len(every))]
    for scale in SCALES:
        cells += ["", *_cells(ratio_of(_together(found, scale)))]
    lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _cells(ratio: Ratio) -> list[str]:
    return [f"{ratio.value:.3f}", f"{ratio.low:.3f} to {ratio.high:.3f}"]


def _together(found: Pairs, scale: str) -> Logarithms:
    """Return the means, over all works, of the pairs that were measured one after another."""
    return [
        [fmean(pair.logarithm(scale) for pair in pairs) for pairs in zip(*start, strict=True)]
        for start in zip(*found.values(), strict=True)
    ]


def ratio_of(starts: Logarithms) -> Ratio:
    """Return the median ratio of all pairs, with its bootstrap interval."""
    chance = random.Random(0)  # noqa: S311  # The same figures give the same interval.
    medians = sorted(
        _median(
            [chance.choices(start, k=len(start)) for start in chance.choices(starts, k=len(starts))]
        )
        for _ in range(RESAMPLES)
    )
    low, high = medians[round(RESAMPLES * 0.025)], medians[round(RESAMPLES * 0.975)]
    return Ratio(*map(math.exp, (_median(starts), low, high)))


def _median(starts: Logarithms) -> float:
    return median(one for start in starts for one in start)


def git(*arguments: str, folder: Path = ROOT) -> bytes:
    """Return what git prints; exit if it fails."""
    done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, check=False)  # noqa: S607
    if done.returncode:
        told = done.stderr.decode(errors="replace").strip() or "There is no such commit."
        raise SystemExit(f"`git {' '.join(arguments)}` failed: {told}")
    return done.stdout
