"""A mixed load of readers and writers, each of which knows what must be stored.

`python -m tests.stack.load URL [--requests N] [--rate N]`; the key is read from SECURE_API_KEY.
"""

import argparse
import asyncio
import os
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from itertools import count
from time import monotonic
from urllib.parse import urlsplit
from uuid import uuid4

from tests.stack.connection import Connection
from tests.stack.journal import Journal, Row
from tests.stack.tally import Tally
from tests.stack.worker import Worker


@dataclass(frozen=True)
class Plan:
    """How much to send, and where."""

    url: str
    key: str = ""
    requests: int = 2000
    rate: int = 300
    workers: int = 16
    seconds: float = 120
    timeout: float = 15

    def connect(self) -> Connection:
        """Return a connection that is opened by its first request."""
        address = urlsplit(self.url)
        headers = {"X-API-Key": self.key} if self.key else {}
        host, port = address.hostname or "127.0.0.1", address.port or 80
        return Connection(host, port, headers, self.timeout)


@dataclass
class Load:
    """A run: it ends by itself, after so many requests and once `enough`, or after its time."""

    plan: Plan
    enough: Callable[[], bool] = lambda: True
    journal: Journal = field(default_factory=lambda: Journal(f"load-{uuid4().hex[:12]}"))
    tally: Tally = field(default_factory=Tally)
    out_of_time: bool = False

    async def run(self) -> None:
        """Send the load."""
        self.tally.started = monotonic()
        numbers = range(self.plan.workers)
        await asyncio.gather(*(self._work(number) for number in numbers))
        self.tally.ended = monotonic()

    async def _work(self, number: int) -> None:
        connection = self.plan.connect()
        worker = Worker(self.journal, self.tally, connection, number)
        interval = self.plan.workers / self.plan.rate
        first = self.tally.started + interval * number / self.plan.workers
        for turn in count():
            # One that is late does not catch up in a burst: it is the rate at most.
            due = first + turn * interval
            await asyncio.sleep(max(0, due - monotonic()))
            if self._is_over():
                break
            await worker.step(turn)
        connection.close()

    def _is_over(self) -> bool:
        if monotonic() > self.tally.started + self.plan.seconds:
            self.out_of_time = True
        return self.out_of_time or (self.tally.requests >= self.plan.requests and self.enough())


async def read_rows(plan: Plan) -> AsyncIterator[Row]:
    """Yield every record, through the API, page by page."""
    connection = plan.connect()
    target = "/foss?limit=200"
    while target:
        answer = await connection.request("GET", target, None, {})
        if answer.status != 200:
            raise ValueError(f"GET {target} was answered {answer.status}.")
        for foss in answer.json():
            yield Row(foss["id"], foss["email"], foss["name"])
        link = answer.headers.get("link", "").partition(">")[0].removeprefix("<")
        target = urlsplit(link)._replace(scheme="", netloc="").geturl()
    connection.close()


async def run(plan: Plan) -> bool:
    """Send a load, compare the records, print what came of it; return whether all is well."""
    load = Load(plan)
    await load.run()
    differences = load.journal.compare([row async for row in read_rows(plan)])
    tally = load.tally
    seconds = tally.ended - tally.started
    lines = [
        f"{tally.requests} requests in {seconds:.1f} s ({tally.requests / seconds:.0f}/s)",
        f"{tally.failed} failed {dict(tally.failures)}, refused {tally.refused}",
        f"{tally.acknowledged} acknowledged writes to {differences.records} records",
        f"{len(differences.lost)} lost, {len(differences.ghosts)} ghosts",
        f"longest gap {tally.longest_gap:.2f} s",
    ]
    faults = [*tally.wrong_answers, *tally.violations, *differences.lost, *differences.ghosts]
    sys.stdout.write("\n".join([*lines, *tally.samples, *faults[:20]]) + "\n")
    return not (faults or tally.failed)


def main() -> int:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("--requests", type=int, default=2000)
    parser.add_argument("--rate", type=int, default=300)
    parser.add_argument("--workers", type=int, default=16)
    key = os.environ.get("SECURE_API_KEY", "")
    return 0 if asyncio.run(run(Plan(key=key, **vars(parser.parse_args())))) else 1


if __name__ == "__main__":
    sys.exit(main())
