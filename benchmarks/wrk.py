"""The load: wrk with wrk.lua, on one thread."""

import json
import os
import subprocess
from typing import Any

from benchmarks.processes import Running
from benchmarks.records import RECORDS
from benchmarks.servers import KEY
from service.settings import ROOT

SCRIPT = ROOT / "benchmarks" / "wrk.lua"

Sample = dict[str, float]


def load(server: Running, work: str, connections: int, seconds: int, run: int) -> Sample:
    """Return what a load gave: requests a second, times in ms, processor time in µs a request."""
    before = server.cpu_seconds()
    done = subprocess.run(
        [
            *("wrk", "--threads", "1", "--connections", str(connections)),
            *("--duration", f"{seconds}s", "--script", str(SCRIPT)),
            # A slow answer is a long time, not a failure.
            *("--timeout", "30s"),
            f"http://127.0.0.1:{server.port}",
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
