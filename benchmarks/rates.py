"""The service and its peers in one run: `python -m benchmarks.rates [--quick]`, or `just bench`.

With `--against COMMIT` it compares the working tree with that commit instead, and with
`--with NAME=VALUE` the service without and with a setting.

One worker each, the same PostgreSQL, the same table of 100 000 records, equivalent responses;
medians of alternating rounds. Each server's responses are checked before it is measured.
"""

import os
import platform
import signal
import sys
from argparse import ArgumentParser
from collections import defaultdict
from pathlib import Path
from shutil import which
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks import against, replicas, report
from benchmarks.processes import import_seconds, running
from benchmarks.records import clean, fill
from benchmarks.servers import CONNECTIONS, SERVERS, WORKS, ours
from benchmarks.wrk import Sample, load
from service.common.embedded import start_server

WARM_SECONDS = 1
ROUNDS, QUICK_ROUNDS = 3, 1
# By connections: how long a round is.
SECONDS, QUICK_SECONDS = {1: 3, CONNECTIONS: 5, 256: 3}, {CONNECTIONS: 2}

# By server, work and connections: what was measured in each round.
Samples = dict[tuple[str, str, int], list[Sample]]


def measure(postgres: Any, rounds: int, seconds: dict[int, int]) -> dict[str, Any]:
    """Return the medians of all rounds, and the greatest memory of each server."""
    samples: Samples = defaultdict(list)
    processes: dict[str, list[Sample]] = defaultdict(list)
    run = 0
    for _ in range(rounds):
        for server in SERVERS:
            with running(server, postgres.url()) as process:
                for work in server.works:
                    load(process, work, max(seconds), WARM_SECONDS, run := run + 1)
                    for count, length in seconds.items():
                        sample = load(process, work, count, length, run := run + 1)
                        samples[server.name, work, count].append(sample)
                        print(f"{server.name}, {work}, {count}: {sample['rate']:.0f}/s", flush=True)
                    clean(postgres.url())
                figures = {"start": process.start, "idle": process.idle, "peak": process.peak}
                processes[server.name].append(figures)
    return {
        "medians": [
            {"server": name, "work": work, "connections": count} | _medians(found)
            for (name, work, count), found in samples.items()
        ],
        "processes": {
            name: _medians(found) | {"peak": max(one["peak"] for one in found)}
            for name, found in processes.items()
        },
    }


def _medians(samples: list[Sample]) -> Sample:
    return {key: median(one[key] for one in samples) for key in samples[0]}


def machine() -> str:
    """Return a description of the machine, without private details."""
    model = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines()
        if line.startswith("model name")
    ]
    return (
        f"{os.cpu_count()} cores of {model[0] if model else platform.machine()},"
        f" {platform.system()}, Python {platform.python_version()}"
    )


def main() -> None:
    """Measure on a PostgreSQL that is gone afterwards, and write what was found."""
    parser = ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one short round with 32 connections")
    parser.add_argument(
        "--rounds", type=int, metavar="N", help="the number of rounds, 3 by default"
    )
    parser.add_argument(
        "--against", metavar="COMMIT", help="compare the working tree with this commit"
    )
    parser.add_argument(
        "--with",
        dest="settings",
        nargs="+",
        metavar="NAME=VALUE",
        help="compare the service without and with these settings",
    )
    parser.add_argument(
        "--works",
        nargs="+",
        choices=WORKS,
        default=list(WORKS),
        help="only these, if two are compared",
    )
    options = parser.parse_args()
    # The servers end with it, as after Ctrl-C.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    if which("wrk") is None:
        raise SystemExit("wrk is missing: install it, as with `apt-get install wrk`.")
    compared: dict[str, Any] = {
        "starts": options.rounds or (against.QUICK_STARTS if options.quick else against.STARTS),
        "pairs": against.QUICK_PAIRS if options.quick else against.PAIRS,
        "works": options.works,
    }
    if options.against is not None:
        against.against_commit(options.against, **compared)
        return
    if options.settings is not None:
        against.with_settings(options.settings, **compared)
        return
    rounds = options.rounds or (QUICK_ROUNDS if options.quick else ROUNDS)
    seconds = QUICK_SECONDS if options.quick else SECONDS
    with TemporaryDirectory() as directory, start_server(Path(directory) / "postgres") as postgres:
        url = postgres.url()
        fill(url, ours())
        found: dict[str, Any] = {
            "machine": machine(),
            "cores": os.cpu_count(),
            "quick": options.quick,
            "rounds": rounds,
            "import": import_seconds(),
        }
        found |= measure(postgres, rounds, seconds)
        found["replicas"] = replicas.measure(url, rounds, seconds[CONNECTIONS])
    print(f"\n{report.table(found)}")
    if not options.quick:
        report.write(found)


if __name__ == "__main__":
    main()
