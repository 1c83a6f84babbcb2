"""What generated blueprints cost: `just bench generate [--quick]`.

First, the seconds from typing `just blueprint` until `just check` and the tests of the new
blueprint have passed: warm, and cold, that is without `.mypy_cache`, `.ruff_cache` and
`__pycache__`. Then the service with 20 blueprints that refer to each other beside the same service
without them, alternated. Everything happens in copies of the commit that is checked out.
"""

import math
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
from argparse import ArgumentParser
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter

from benchmarks import against
from benchmarks.collection import TABLE
from benchmarks.processes import psql, running
from benchmarks.rates import machine
from benchmarks.records import fill
from benchmarks.servers import WORKS, Server
from service.common.embedded import start_server
from service.settings import ROOT

NAME = "novel"
FIELDS = (
    "title:string(80):search:index",
    "price:decimal(10,2):filter",
    "day:date:optional:index",
    f"parent:ref({TABLE})",
)
BLUEPRINTS = 20
CACHES = (".mypy_cache", ".ruff_cache", "__pycache__")
ROUNDS, QUICK_ROUNDS = 3, 1
STARTS, QUICK_STARTS = 15, 7
SECONDS = {"warm": 60, "cold": 120}
RATIOS = {
    "time to start": 1.3,
    "CPU of the start": 1.3,
    "idle memory": 1.3,
    f"CPU of `{WORKS['read']}`": 1.03,
}
HEAD = (
    "| | blueprint, s | check, s | tests, s | all, s | goal | processor, s |\n"
    "| --- | --- | --- | --- | --- | --- | --- |"
)
AUTHOR = ("-c", "user.name=Benchmark", "-c", "user.email=benchmark@example.org")


@contextmanager
def project(sha: str, name: str) -> Iterator[Server]:
    """Give the service of a commit, in a repository in which `just` works."""
    with against.checkout(sha) as server:
        for tools in (".venv", ".tools"):
            (server.folder / tools).symlink_to(ROOT / tools)
        for arguments in (("init",), ("add", "--all"), (*AUTHOR, "commit", "--message=All")):
            against.git(*arguments, folder=server.folder)
        yield replace(server, name=name)


def just(folder: Path, *arguments: str) -> float:
    """Return the seconds that a command takes; exit if it fails."""
    began = perf_counter()
    done = subprocess.run(
        [folder / "just", *arguments], cwd=folder, capture_output=True, text=True, check=False
    )
    if done.returncode:
        said = done.stdout + done.stderr
        raise SystemExit(f"In a copy `just {' '.join(arguments)}` failed:\n{said}")
    return perf_counter() - began


def generate(folder: Path) -> list[float]:
    """Return the seconds until a new blueprint is green: of each step, all, and the processor's."""
    before = processor_seconds()
    seconds = [
        just(folder, "blueprint", NAME, *FIELDS),
        just(folder, "check"),
        just(folder, "test", f"tests/{NAME}"),
    ]
    spent = processor_seconds() - before
    just(folder, "blueprint-remove", NAME)
    return [*seconds, sum(seconds), spent]


def processor_seconds() -> float:
    """Return the processor time of all commands so far, which does not depend on the load."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def clear(folder: Path) -> None:
    """Remove the caches of the copy; installed packages keep theirs."""
    for path in [path for name in CACHES for path in folder.rglob(name)]:
        shutil.rmtree(path)


def green(folder: Path, rounds: int) -> Iterator[bool]:
    """Print the medians of the steps, and yield whether each goal is met."""
    # It installs the linter, and fills the caches.
    just(folder, "check")
    found: dict[str, list[list[float]]] = defaultdict(list)
    for _ in range(rounds):
        found["warm"].append(generate(folder))
        clear(folder)
        found["cold"].append(generate(folder))
    print(HEAD)
    for name, goal in SECONDS.items():
        *steps, whole, spent = [median(column) for column in zip(*found[name], strict=True)]
        cells = " | ".join(f"{one:.1f}" for one in (*steps, whole))
        print(f"| {name} | {cells} | ≤ {goal} | {spent:.1f} |", flush=True)
        yield whole <= goal


def grow(folder: Path) -> None:
    """Write blueprints of which each refers to the one before."""
    more: tuple[str, ...] = ()
    for number in range(1, BLUEPRINTS + 1):
        name = f"{NAME}{number}"
        seconds = just(folder, "blueprint", name, *FIELDS, *more, "--force")
        more = (f"previous:ref({name}):cascade",)
    print(f"\nThe {BLUEPRINTS}th blueprint was written in {seconds:.1f} s.\n", flush=True)


def compared(variants: tuple[Server, Server], *, quick: bool) -> Iterator[bool]:
    """Print the ratios of the second to the first, and yield whether each goal is met."""
    with TemporaryDirectory() as directory, start_server(Path(directory) / "postgres") as postgres:
        urls = {}
        for number, one in enumerate(variants):
            psql(postgres.url(), f"CREATE DATABASE copy{number}")
            urls[one.name] = postgres.url(f"copy{number}")
            fill(urls[one.name], one)
        found = starts(variants, urls, QUICK_STARTS if quick else STARTS)
        reads = against.measure(
            variants,
            urls,
            against.QUICK_STARTS if quick else against.STARTS,
            against.QUICK_PAIRS if quick else against.PAIRS,
            ["read"],
        )
    old, new = (
        [getattr(pair, side)["cpu"] for start in reads["read"] for pair in start]
        for side in ("old", "new")
    )
    found.append((old, new, [[one.logarithm("cpu") for one in start] for start in reads["read"]]))
    print("\n| | without | with | x | 95 % | goal |\n| --- | --- | --- | --- | --- | --- |")
    for (what, goal), unit, (old, new, logarithms) in zip(
        RATIOS.items(), ("s", "s", "MiB", "µs"), found, strict=True
    ):
        ratio = against.ratio_of(logarithms)
        print(
            f"| {what} | {median(old):.2f} {unit} | {median(new):.2f} {unit} | {ratio.value:.3f}"
            f" | {ratio.low:.3f} to {ratio.high:.3f} | ≤ {goal} |"
        )
        yield ratio.value <= goal


def starts(
    variants: tuple[Server, Server], urls: dict[str, str], count: int
) -> list[tuple[list[float], list[float], against.Logarithms]]:
    """Return what the starts took: the first, the second, and the logarithms of their ratios."""
    chance = random.Random(0)  # noqa: S311  # It orders, it keeps no secret.
    taken: dict[str, list[tuple[float, float, float]]] = defaultdict(list)
    for start in range(count + 1):
        for one in chance.sample(variants, 2):
            seed = {"PYTHONHASHSEED": str(start)}
            seeded = replace(one, environment=one.environment | seed)
            with running(seeded, urls[one.name]) as process:
                taken[one.name].append((process.start, process.start_cpu, process.idle))
    # The first start writes the bytecode.
    old, new = (zip(*taken[one.name][1:], strict=True) for one in variants)
    return [
        ([*before], [*after], [[math.log(b / a)] for a, b in zip(before, after, strict=True)])
        for before, after in zip(old, new, strict=True)
    ]


def main() -> int:
    """Measure, and return 1 if a goal is missed."""
    parser = ArgumentParser(prog="bench generate", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer rounds")
    quick = parser.parse_args().quick
    # The servers end with it, as after Ctrl-C.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    just(ROOT, "--setup")
    sha = against.git("rev-parse", "HEAD").decode().strip()
    print(f"Commit {sha[:12]} on {machine()}, load {loads()}.\n", flush=True)
    with project(sha, "without") as plain, project(sha, "with") as grown:
        met = [*green(plain.folder, QUICK_ROUNDS if quick else ROUNDS)]
        grow(grown.folder)
        met += compared((plain, grown), quick=quick)
    print(f"\n{'Every goal is met' if all(met) else 'A goal is missed'}; load {loads()}.")
    return 0 if all(met) else 1


def loads() -> str:
    """Return the load of the machine, in the last 1, 5 and 15 minutes."""
    return ", ".join(f"{one:.1f}" for one in os.getloadavg())


if __name__ == "__main__":
    sys.exit(main())
