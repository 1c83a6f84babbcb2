"""The service and its peers in one run: `python -m benchmarks.rates [--quick]`, or `just bench`.

One worker each, the same PostgreSQL, the same table of 100 000 records, the same facts in the
answers; rounds in turn, medians of them. Each server's answers are checked before it is measured.
"""

import json
import os
import platform
import subprocess
from argparse import ArgumentParser
from collections import defaultdict
from pathlib import Path
from shutil import which
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks import report
from benchmarks.pages import migrate
from benchmarks.servers import KEY, PORT, SERVERS, Running, running
from service.common.embedded import start_server
from service.settings import ROOT

RECORDS = 100_000
FILL = f"""
INSERT INTO foss (name, email)
SELECT 'Project ' || n, 'project' || n || '@example.org' FROM generate_series(1, {RECORDS}) AS n
"""  # noqa: S608
CLEAN = f"DELETE FROM foss WHERE id > {RECORDS}; VACUUM ANALYZE foss"  # noqa: S608
SCRIPT = ROOT / "benchmarks" / "wrk.lua"
WARM_SECONDS = 1

Sample = dict[str, float]
# By server, work and connections: what was measured in each round.
Samples = dict[tuple[str, str, int], list[Sample]]


def load(server: Running, work: str, connections: int, seconds: int, run: int) -> Sample:
    """Return what a load gave: requests a second, times in ms, processor time in µs a request."""
    before = server.cpu_seconds()
    done = subprocess.run(
        [
            *("wrk", "--threads", "1", "--connections", str(connections)),
            *("--duration", f"{seconds}s", "--script", str(SCRIPT), f"http://127.0.0.1:{PORT}"),
        ],
        env=os.environ | {"WORK": work, "RECORDS": str(RECORDS), "RUN": str(run), "KEY": KEY},
        capture_output=True,
        text=True,
        check=True,
    )
    server.note_memory()
    spent = server.cpu_seconds() - before
    [line] = [line for line in done.stdout.splitlines() if line.startswith("JSON ")]
    found: dict[str, Any] = json.loads(line.removeprefix("JSON "))
    if found["failed"] or not found["requests"]:
        raise SystemExit(f"{work} with {connections} connections: {found}")
    return {
        "rate": found["requests"] / found["microseconds"] * 1e6,
        "p50": found["p50"] / 1000,
        "p99": found["p99"] / 1000,
        "cpu": spent / found["requests"] * 1e6,
    }


def measure(postgres: Any, rounds: int, seconds: int, connections: list[int]) -> dict[str, Any]:
    """Return the medians of all rounds, and the greatest memory of each server."""
    samples: Samples = defaultdict(list)
    memory: dict[str, float] = {}
    run = 0
    for _ in range(rounds):
        for server in SERVERS:
            with running(server, str(postgres.get_uri())) as process:
                for work in server.works:
                    load(process, work, max(connections), WARM_SECONDS, run := run + 1)
                    for count in connections:
                        run += 1
                        sample = load(process, work, count, seconds, run)
                        samples[server.name, work, count].append(sample)
                        print(f"{server.name}, {work}, {count}: {sample['rate']:.0f}/s", flush=True)
                    postgres.psql(CLEAN)
                memory[server.name] = max(process.peak, memory.get(server.name, 0))
    medians = [
        {"server": name, "work": work, "connections": count}
        | {key: median(one[key] for one in found) for key in found[0]}
        for (name, work, count), found in samples.items()
    ]
    return {"medians": medians, "memory": memory}


def machine() -> str:
    """Return where it was measured, as far as that is anybody's business."""
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
    quick = parser.parse_args().quick
    if which("wrk") is None:
        raise SystemExit("wrk is missing: install it, as with `apt-get install wrk`.")
    with TemporaryDirectory() as directory, start_server(Path(directory) / "postgres") as postgres:
        migrate(str(postgres.get_uri()), "head")
        postgres.psql(FILL)
        postgres.psql(CLEAN)
        found = measure(postgres, *((1, 2, [32]) if quick else (3, 5, [1, 32, 256])))
    found |= {"machine": machine(), "quick": quick}
    print(f"\n{report.table(found)}")
    if not quick:
        report.write(found)


if __name__ == "__main__":
    main()
