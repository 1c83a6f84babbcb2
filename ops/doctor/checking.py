"""What a check returns, and how one is run: within a time limit, and never with a traceback."""

import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread

from service.common.errors import DatabaseError
from service.failures import OperatorError, explain

# Longer than a check usually takes. One of a DATABASE_URL with several hosts may take longer.
SECONDS = 30


@dataclass(frozen=True)
class Finding:
    """What is wrong, and what to do unless the first sentence says it."""

    problem: str
    remedy: str = ""


@dataclass(frozen=True)
class NotChecked:
    """Why there was nothing to check."""

    reason: str


class NothingToCheckError(Exception):
    """What a check would look at is not there, which is no fault: the message says why."""


# What is fine, or what is wrong.
Outcome = str | list[Finding]
Check = Callable[[], Outcome]


def run(check: Check, seconds: float = SECONDS) -> Outcome | NotChecked:
    """Run a check. A failure of the check itself is a finding too, and so is a missing result."""
    results: SimpleQueue[Outcome | NotChecked] = SimpleQueue()
    # A thread, because a read from a lost file system, for example, can't be interrupted.
    Thread(target=lambda: results.put(_result(check)), daemon=True).start()
    try:
        return results.get(timeout=seconds)
    except Empty:
        return [
            Finding(
                f"This check has no result after {seconds:g} s.",
                "A disk, the network or a program hangs: look for it with `ps` and `dmesg`.",
            )
        ]


def _result(check: Check) -> Outcome | NotChecked:
    try:
        return check()
    except NothingToCheckError as error:
        return NotChecked(str(error))
    except OperatorError as error:
        return [Finding(str(error))]
    except DatabaseError as error:
        return [Finding(f"{error.reason or error.message}.")]
    except OSError as error:
        known = explain(error)
        place = f": {error.filename}" if error.filename else ""
        return [Finding(str(known or f"The system reports: {error.strerror or error}{place}."))]
    except Exception as error:  # noqa: BLE001  # The other checks are still of use.
        # Without the message, which may quote a secret.
        last = traceback.extract_tb(error.__traceback__)[-1]
        return [
            Finding(
                f"This check failed: {type(error).__name__} in {Path(last.filename).name}, line "
                f"{last.lineno}.",
                "This is a bug in this project: please report it.",
            )
        ]
