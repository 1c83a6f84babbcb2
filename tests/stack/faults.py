"""The effects on clients when the stack is deployed or reloaded, or parts of it are killed.

`python -m tests.stack.faults [--long] [FAULT ...]` injects faults into the stack that `just up` has
started here and prints a table; it exits with 1 if a guarantee did not hold.
"""

import argparse
import asyncio
import sys
from dataclasses import dataclass, field

from service.settings import load_settings
from tests.stack.compose import Stack, eventually
from tests.stack.journal import Differences
from tests.stack.load import Load, Plan
from tests.stack.strikes import FAULTS, Fault

COLUMNS = ["requests", "failed", "acknowledged", "lost", "ghosts", "longest gap", "verdict"]


@dataclass
class Outcome:
    """The result of one fault under load; no problems means that all guarantees held."""

    fault: Fault
    times: int
    load: Load
    figures: list[float] = field(default_factory=list)
    differences: Differences = field(default_factory=Differences)
    problems: list[str] = field(default_factory=list)

    def judge(self) -> None:
        """Note what did not hold."""
        tally, differences = self.load.tally, self.differences
        self.problems += self.fault.judge(tally)
        if self.load.out_of_time:
            self.problems.append("the load ran out of time")
        excused = len(differences.ghosts_of_503) if self.fault.dies else 0
        counts = {
            "too late": sum(figure > self.fault.limit for figure in self.figures),
            "lost": len(differences.lost),
            "ghosts": len(differences.ghosts) - excused,
            "wrong answers": len(tally.wrong_answers),
            "refusals that break the contract": len(tally.violations),
        }
        self.problems += [f"{number} {name}" for name, number in counts.items() if number]

    def row(self) -> str:
        """Return the row of the table."""
        tally, differences = self.load.tally, self.differences
        figures = ", ".join(f"{figure:.1f}" for figure in self.figures)
        verdict = f"FAILS: {'; '.join(self.problems)}" if self.problems else "holds"
        cells = [
            *(f"{self.times} x {self.fault.name}", tally.requests, tally.failed),
            *(tally.acknowledged, len(differences.lost), len(differences.ghosts)),
            *(f"{tally.longest_gap:.2f} s", f"{verdict}; {self.fault.figure} {figures} s"),
        ]
        return f"| {' | '.join(map(str, cells))} |"

    def details(self) -> str:
        """Return what a person needs to find the cause."""
        tally, differences = self.load.tally, self.differences
        found = [*tally.wrong_answers, *tally.violations, *differences.lost, *differences.ghosts]
        counts = f"failed {dict(tally.failures)}, refused {tally.refused}"
        return "\n".join([f"{self.fault.name}: {counts}", *tally.samples[:10], *found[:20]])


async def inflict(stack: Stack, fault: Fault, times: int, requests: int, rate: int) -> Outcome:
    """Strike so many times under load, then hold the database against what was answered."""
    await eventually(stack.is_whole, "every replica healthy")
    struck = asyncio.Event()
    plan = Plan(stack.url, stack.key, requests=requests, rate=rate, seconds=900)
    outcome = Outcome(fault, times, Load(plan, enough=struck.is_set))
    running = asyncio.create_task(outcome.load.run())
    try:
        for _ in range(times):
            await more_requests(outcome.load)
            outcome.figures.append(await fault.strike(stack, outcome.load))
        await more_requests(outcome.load)
    except (RuntimeError, TimeoutError) as error:
        outcome.problems.append(str(error))
    finally:
        struck.set()
        await running
    await eventually(stack.accepts_connections, "the database")
    outcome.differences = outcome.load.journal.compare(await stack.rows())
    outcome.judge()
    return outcome


async def more_requests(load: Load) -> None:
    """Wait until the load has sent some more, so that each strike meets it under way."""
    wanted = load.tally.requests + 300

    async def are_sent() -> bool:
        return load.tally.requests >= wanted

    await eventually(are_sent, "more requests")


async def run(stack: Stack, names: list[str], *, long: bool, rate: int) -> bool:
    """Inflict the faults one after another, print the table; return whether everything held."""
    sys.stdout.write(f"| fault | {' | '.join(COLUMNS)} |\n|{' --- |' * (len(COLUMNS) + 1)}\n")
    outcomes = []
    for name in names:
        fault = FAULTS[name]
        times, requests = (fault.times, fault.requests) if long else (fault.short_times, 2000)
        outcome = await inflict(stack, fault, times, requests, rate)
        sys.stdout.write(outcome.row() + "\n")
        sys.stdout.flush()
        sys.stderr.write(outcome.details() + "\n")
        outcomes.append(outcome)
    return not any(outcome.problems for outcome in outcomes)


def main() -> int:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("faults", nargs="*", help=f"which of {', '.join(FAULTS)}; default: all")
    parser.add_argument("--long", action="store_true", help="as often as the issue asks for")
    parser.add_argument("--rate", type=int, default=300, help="requests per second")
    asked = parser.parse_args()
    if unknown := set(asked.faults) - set(FAULTS):
        parser.error(f"no such fault: {', '.join(unknown)}")
    stack = Stack("", load_settings().http_port)
    held = asyncio.run(run(stack, asked.faults or list(FAULTS), long=asked.long, rate=asked.rate))
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
