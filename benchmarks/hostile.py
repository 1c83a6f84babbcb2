"""What inputs of legal size cost: `just bench hostile [--quick] [WORDS]`.

Each input is sent to the service without a key, with one, and through nginx with one. It costs
processor time beyond that of as many plain requests, by KiB sent (at least one); the longest time
in which the event loop served no other request (by its thread's processor time, so that a busy
machine changes nothing); and memory. Crowds of clients are measured while another client requests
`/livez`.

The exit code is 1 if a threshold is passed. WORDS choose the inputs that have one in their names.
"""

import signal
import sys
import time
from argparse import ArgumentParser
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from benchmarks.attacks import INPUTS
from benchmarks.attacks.target import Input, Target, request
from benchmarks.collection import TABLE, TARGET
from benchmarks.processes import psql
from benchmarks.records import migrate
from benchmarks.victim import KEY, Peaks, Victim
from service.common.embedded import start_server

BACK_SECONDS = 10
BACK_MIB = 40  # What an allocator keeps.
BUSY_SECONDS = 30  # How long to measure one that continues.


class Threshold(NamedTuple):
    """The greatest value of a measurement, and the message for a greater one."""

    name: str
    value: float
    text: str


# Of any single request.
PROCESSOR = Threshold("ms", 1.0, "{:.1f} ms/KiB")
SINGLE = [
    PROCESSOR,
    Threshold("stall", 50, "stall of {:.0f} ms"),
]
# Of many concurrent clients.
CROWD = [
    # The service's work between the question and the answer, so that a busy machine changes
    # nothing. The health check of the containers allows 4 s.
    Threshold("livez_work", 1.0, "`/livez` after {:.1f} s of other work"),
    Threshold("busy", 1.0, "{:.1f} s of work when no client was left"),
    # In a container this is the service's memory too.
    Threshold("queued", 200, "{:.0f} MiB in queues of connections"),
    Threshold("database", 50, "{:.0f} MiB in PostgreSQL"),
]
# The containers have 512 MiB, and an idle service takes some 90.
ALL = [
    Threshold("memory", 200, "{:.0f} MiB"),
    Threshold("back", BACK_SECONDS, f"memory not back in {BACK_SECONDS} s"),
]

RECORDS = 100_000
FILL = f"""
INSERT INTO {TABLE} (name, email)
SELECT 'Project ' || n, 'project' || n || '@example.org' FROM generate_series(1, {RECORDS}) AS n;
VACUUM ANALYZE {TABLE}
"""  # noqa: S608
# The least counts. What the watchdog itself takes is known to some milliseconds, which is much for
# a short input, so one that is beyond the threshold is repeated more often.
ROUNDS, MOST_ROUNDS = 3, 10
ENOUGH_SECONDS = 1.0
# A loop that works less than this between two turns of the watchdog has nothing to do: on a busy
# machine too, where it takes few turns.
DIED = "the service has died"
IDLE_SECONDS, LEAST_TURNS, LOOK_SECONDS = 0.0005, 10, 0.1
PLAIN = request(b"GET %s?limit=200" % TARGET)
QUICK_NAMES = (
    *(
        "NUL in a field",
        "fields of a letter",
        "Accept:",
        "in a row",
        "long cursor",
        "limit of digits",
    ),
    *("nested to 60", "properties", "blank lines", "chunks of a byte", "page"),
)


@dataclass
class Cost:
    """What an input cost at a target."""

    kib: float = 0
    ms: float = 0  # By KiB, beyond plain requests.
    stall: float = 0  # In ms.
    memory: float = 0
    back: float = 0
    queued: float = 0  # By the kernel.
    database: float = 0
    livez: float = 0
    livez_work: float = 0
    busy: float = 0
    told: str = ""  # The outcome for the service, or what its log should not have.

    def faults(self, one: Input) -> Iterator[str]:
        """Yield what is beyond a threshold."""
        if self.told:
            yield self.told
        for threshold in [*(CROWD if one.is_crowd else SINGLE), *ALL]:
            found = getattr(self, threshold.name)
            if found > threshold.value:
                yield threshold.text.format(found)


class Spent(NamedTuple):
    """What doing an input once took."""

    sent: int
    processor: float  # Seconds, without the watchdog's own.
    stall: float  # In seconds.
    after: float  # Seconds of processor time when all clients had left.


class Attacks:
    """A service that is started again after it died, or after it kept its memory."""

    def __init__(self, url: str, directory: Path) -> None:
        self._url, self._directory = url, directory
        self.victim = self._start()

    def _start(self) -> Victim:
        victim = Victim(self._url, self._directory)
        self.targets = [
            Target("no key", victim.port, None),
            Target("key", victim.port, KEY.encode()),
            Target("nginx", victim.front_port, KEY.encode(), is_nginx=True),
        ]
        # What the watchdog itself takes of a second.
        before, began = victim.read(), time.monotonic()
        time.sleep(1)
        self._share = (victim.read().processor - before.processor) / (time.monotonic() - began)
        self._plain = {}
        for target in self.targets:
            # The first ones fill caches and pools.
            plain = Input("", lambda target: target.exchange(PLAIN))
            taken = [self._spend(victim, target, plain).processor for _ in range(8)]
            self._plain[target.name] = sorted(taken[3:])[2]
        return victim

    def measure(self, one: Input, target: Target) -> Cost:
        """Do what the input is, some times unless it is a crowd, and return what it cost."""
        victim, found = self.victim, Cost()
        idle, idle_database = victim.memory(), victim.database_memory() if one.is_crowd else 0
        logged = victim.log.stat().st_size
        spent: list[float] = []
        peaks = Peaks(victim, asks=one.is_crowd)
        with peaks.watched():
            while self._is_to_continue(one, found, spent):
                try:
                    once = self._spend(victim, target, one)
                except (OSError, ValueError):
                    if victim.runs():
                        raise
                    found.told = DIED
                    break
                spent.append(once.processor)
                found.kib, found.busy = once.sent / 1024, max(found.busy, once.after)
                found.stall = max(found.stall, once.stall * 1000)
                extra = min(spent) - one.requests * self._plain[target.name]
                found.ms = max(0, extra * 1000) / max(1, found.kib)
        if found.told != DIED:
            found.back = self._back(idle)
        found.memory, found.database = peaks.memory - idle, peaks.database - idle_database
        found.queued = peaks.queued
        found.livez, found.livez_work = peaks.livez, peaks.livez_work
        with victim.log.open("rb") as log:
            log.seek(logged)
            text = log.read()
        if b"Traceback" in text or KEY.encode() in text:
            found.told = found.told or "a key or a traceback in the log"
        if found.told == DIED or found.back > BACK_SECONDS:
            victim.close()
            self.victim = self._start()
        return found

    @staticmethod
    def _is_to_continue(one: Input, found: Cost, spent: list[float]) -> bool:
        if one.is_crowd:
            return not spent
        rounds = MOST_ROUNDS if found.ms > PROCESSOR.value else ROUNDS
        return len(spent) < rounds and sum(spent) < ENOUGH_SECONDS

    def _spend(self, victim: Victim, target: Target, one: Input) -> Spent:
        """Do what the input is, and wait until the service has nothing left to do."""
        begin, began = victim.read(), time.monotonic()
        sent = one.attack(target)
        seen = left = now = victim.read()
        stall, given_up = left.stall, time.monotonic() + BUSY_SECONDS
        while time.monotonic() < given_up:
            time.sleep(LOOK_SECONDS)
            now = victim.read()
            stall = max(stall, now.stall)
            turns, worked = now.turns - seen.turns, now.processor - seen.processor
            if turns > LEAST_TURNS and worked < IDLE_SECONDS * turns:
                break
            seen = now
        own = self._share * (time.monotonic() - began)
        processor = max(0, now.processor - begin.processor - own)
        return Spent(sent, processor, stall, seen.processor - left.processor)

    def _back(self, idle: float) -> float:
        """Return the seconds until the memory is back, or a bit more than is allowed."""
        began = time.monotonic()
        while self.victim.memory() > idle + BACK_MIB and time.monotonic() < began + BACK_SECONDS:
            time.sleep(0.1)
        return time.monotonic() - began


HEAD = (
    "| input | KiB | ms/KiB | stall, ms | memory, MiB | queued, MiB | PostgreSQL, MiB |"
    " `/livez`, ms | beyond a threshold |\n"
    "| --- | --- | --- | --- | --- | --- | --- | --- | --- |"
)


def row(one: Input, costs: dict[str, Cost], faults: list[str]) -> str:
    """Return a line of the table, in each column without a key, with one, and through nginx."""
    columns = [
        _cells(costs, "kib", ".0f"),
        _cells(costs, "ms", ".2f"),
        _cells(costs, "stall", ".0f"),
        _cells(costs, "memory", ".0f"),
        _cells(costs, "queued", ".0f") if one.is_crowd else "",
        _cells(costs, "database", ".0f") if one.is_crowd else "",
        " / ".join(f"{cost.livez * 1000:.0f}" for cost in costs.values()) if one.is_crowd else "",
        "; ".join(faults) or "-",
    ]
    return f"| {one.name} | {' | '.join(columns)} |"


def _cells(costs: dict[str, Cost], name: str, form: str) -> str:
    return " / ".join(format(getattr(cost, name), form) for cost in costs.values())


def chosen(words: list[str], *, quick: bool) -> list[Input]:
    """Return the inputs whose names have one of the words; all if there are none."""
    words = [*words, *(QUICK_NAMES if quick else ())]
    found = [one for one in INPUTS if not words or any(word in one.name for word in words)]
    return [one for one in found if not (quick and one.is_crowd)]


def run(attacks: Attacks, inputs: list[Input], *, quick: bool) -> list[str]:
    """Print the table, and return what is beyond a threshold."""
    print(HEAD, flush=True)
    failures = []
    for one in inputs:
        costs: dict[str, Cost] = {}
        faults = []
        for target in attacks.targets[1:2] if quick else list(attacks.targets):
            # The service may have been started again, on other ports.
            [again] = [other for other in attacks.targets if other.name == target.name]
            costs[target.name] = cost = attacks.measure(one, again)
            faults += [f"{target.name}: {fault}" for fault in cost.faults(one)]
        failures += [f"{one.name}, {fault}" for fault in faults]
        print(row(one, costs, faults), flush=True)
    return failures


def main() -> int:
    """Measure on a PostgreSQL that is gone afterwards; return 1 if a threshold is passed."""
    parser = ArgumentParser(prog="bench hostile", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="some inputs, with a key, no nginx")
    parser.add_argument(
        "words", nargs="*", metavar="WORD", help="only inputs with WORD in their names"
    )
    options = parser.parse_args()
    # Python runs what ends the service, nginx and PostgreSQL only after an exception.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    inputs = chosen(options.words, quick=options.quick)
    with TemporaryDirectory() as name, start_server(Path(name) / "postgres") as postgres:
        migrate(postgres.url(), "head")
        psql(postgres.url(), FILL)
        attacks = Attacks(postgres.url(), Path(name))
        try:
            failures = run(attacks, inputs, quick=options.quick)
        finally:
            attacks.victim.close()
    print(f"\n{len(inputs)} inputs; beyond a threshold: {len(failures)}.")
    for failure in failures:
        print(f"- {failure}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
