"""Waiting until the stack answers, or until a part of it has failed."""

import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from local.console import CommandError, just, tail
from local.processes import log_path

DEADLINE = 60.0
INTERVAL = 0.1


def wait_until_ready(supervisor: Any, state: Path, url: str) -> None:
    """Return when all programs run and `/readyz` answers 200.

    Raises CommandError: a program failed for good, or 60 seconds have passed.
    """
    deadline = time.monotonic() + DEADLINE
    while True:
        programs = {found["name"]: found["statename"] for found in supervisor.getAllProcessInfo()}
        waiting = [name for name, status in programs.items() if status != "RUNNING"]
        answer = "not asked yet" if waiting else ask(f"{url}/readyz")
        if answer == "200":
            return
        failed = [name for name, status in programs.items() if status in {"FATAL", "STOPPED"}]
        if failed:
            raise _failure(f"`{failed[0]}` does not run.", state, failed[0])
        if time.monotonic() > deadline:
            part = waiting[0] if waiting else "api"
            raise _failure(
                f"{url}/readyz is not ready after {DEADLINE:.0f} s: {answer}.", state, part
            )
        time.sleep(INTERVAL)


def ask(url: str) -> str:
    """Return the status of a GET, or why there is none."""
    # A proxy from the environment has no way to this machine's own address.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=5) as response:
            return str(response.status)
    except urllib.error.HTTPError as error:
        return str(error.code)
    except OSError as error:
        return str(error)


def _failure(sentence: str, state: Path, part: str) -> CommandError:
    log = log_path(state, part)
    return CommandError(
        f"{sentence} The end of {log}:\n{tail(log)}\n"
        f"Mend what it says, then run `{just('down')}` and `{just('up')}`."
    )
