r"""Files in and out: `python -m benchmarks.files [RECORDS]`, a million by default.

The service, called with curl and as production runs it, beside psql's `\copy` of the same records
into and out of the same table with the same indexes, in turn in one run. What is to be seen: at
least a quarter of the rate of `\copy`, and a memory that does not grow with the file.
"""

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import monotonic, perf_counter, sleep
from urllib.request import urlopen

import psutil

from benchmarks.collection import PATH, TABLE
from benchmarks.processes import psql
from benchmarks.records import migrate
from service.common.embedded import start_server
from service.settings import ROOT

RECORDS = 1_000_000
ROUNDS = {"export": 3, "import": 1}
KEY = "benchmark-key-0123456789"
HOST, PORT = "127.0.0.1", 5099
FORMS = {"csv": "text/csv", "ndjson": "application/x-ndjson"}
FIELDS = "id, name, email, created_at, updated_at"
START_SECONDS = 30
FILL = """
INSERT INTO {} (name, email)
SELECT 'Project ' || (n % 1000) || ' of ' || md5(n::text), 'p' || n || '@example.org'
FROM generate_series(1, {}) AS n
"""

Call = Callable[[], object]


class Measured:
    """A running service, and the growth of its memory."""

    def __init__(self, url: str) -> None:
        environment = {"APP_ENV": "production", "SECURE_API_KEY": KEY, "DATABASE_URL": url}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "service"],
            cwd=ROOT,
            env=os.environ | environment | {"BIND": f"{HOST}:{PORT}"},
            stdout=subprocess.DEVNULL,
        )
        deadline = monotonic() + START_SECONDS
        while not self._answers():
            if monotonic() > deadline:
                raise SystemExit("The service did not start.")
            sleep(0.1)
        self._idle = psutil.Process(self._process.pid).memory_info().rss

    def _answers(self) -> bool:
        try:
            with urlopen(f"http://{HOST}:{PORT}/readyz") as response:  # Our own.
                return bool(response.status == 200)  # noqa: PLR2004
        except OSError:
            return False

    def stop(self) -> None:
        """Stop the service."""
        self._process.terminate()
        self._process.wait()

    @contextmanager
    def growth(self, into: list[float]) -> Iterator[None]:
        """Note how many MiB the memory is above what it was before the first request, at most."""
        process = psutil.Process(self._process.pid)
        highest = self._idle
        done = threading.Event()

        def watch() -> None:
            nonlocal highest
            while not done.wait(0.02):
                highest = max(highest, process.memory_info().rss)

        thread = threading.Thread(target=watch)
        thread.start()
        yield
        done.set()
        thread.join()
        into.append((highest - self._idle) / (1 << 20))


def request(*options: str) -> None:
    """Call the service with curl, which is to it what psql is to PostgreSQL."""
    fixed = [
        "curl",
        "--silent",
        "--show-error",
        "--fail",
        "--noproxy",
        "*",
        "-H",
        f"X-API-Key: {KEY}",
    ]
    subprocess.run([*fixed, *options, f"http://{HOST}:{PORT}{PATH}"], check=True)


def measure(calls: dict[str, Call], rounds: int, before: Call, service: Measured) -> None:
    """Call each in turn, `rounds` times, and print the medians."""
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    growths: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            before()
            with service.growth(growths[name]):
                began = perf_counter()
                call()
                seconds[name].append(perf_counter() - began)
    [copy, *_] = (median(taken) for taken in seconds.values())
    for name, taken in seconds.items():
        rate = f"{records() / median(taken):.0f}"
        ratio = f"{copy / median(taken):.2f}"
        growth = f"{max(growths[name]):.0f}" if "copy" not in name else "-"
        print(f"| {name} | {median(taken):.2f} | {rate} | {ratio} | {growth} |", flush=True)


def records() -> int:
    """Return how many records are moved."""
    return int(sys.argv[1]) if len(sys.argv) > 1 else RECORDS


def run(url: str, psql: Callable[[str], object], directory: Path) -> None:
    """Fill the table and print both halves of the table."""
    service = Measured(url)
    psql(FILL.format(TABLE, records()))
    psql(f"VACUUM ANALYZE {TABLE}")

    def copy(what: str) -> Call:
        return lambda: psql(f"\\copy {what}")

    def exported(form: str) -> Call:
        target = str(directory / f"out.{form}")
        return lambda: request("-H", f"Accept: {FORMS[form]}", "--output", target)

    def imported(form: str) -> Call:
        source, answer = str(directory / f"out.{form}"), str(directory / "answer")
        sent = ("-H", f"Content-Type: {FORMS[form]}", "--request", "POST", "--upload-file", source)
        return lambda: request(*sent, "--output", answer)

    whole, narrow = directory / "copy.csv", directory / "narrow.csv"
    out = f"(SELECT {FIELDS} FROM {TABLE} ORDER BY id) TO '{whole}' CSV HEADER"  # noqa: S608
    calls = {"`\\copy` to a file": copy(out)}
    calls |= {f"export, {form}": exported(form) for form in FORMS}
    print(
        "| what | s | records/s | x `\\copy` | memory grew, MiB |\n| --- | --- | --- | --- | --- |"
    )
    try:
        measure(calls, ROUNDS["export"], lambda: None, service)
        psql(f"\\copy {TABLE} (name, email) TO '{narrow}' CSV HEADER")
        calls = {"`\\copy` from a file": copy(f"{TABLE} (name, email) FROM '{narrow}' CSV HEADER")}
        calls |= {f"import, {form}": imported(form) for form in FORMS}
        measure(calls, ROUNDS["import"], lambda: empty(psql), service)
    finally:
        service.stop()


def empty(psql: Callable[[str], object]) -> None:
    """Leave no record, and nothing of those that there were."""
    psql(f"TRUNCATE {TABLE}")
    psql("CHECKPOINT")


def main() -> None:
    """Measure on a PostgreSQL that is gone afterwards."""
    quick = {"max_wal_size": "8GB", "fsync": "off"}
    with (
        TemporaryDirectory() as directory,
        start_server(Path(directory) / "postgres", **quick) as server,
    ):
        url = server.url()
        migrate(url, "head")
        files = Path(directory) / "files"
        files.mkdir(mode=0o777)
        run(url, partial(psql, url), files)


if __name__ == "__main__":
    main()
