"""Waiting until the stack answers, or until a part of it has failed."""

import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from ops.console import CommandError, just, tail
from ops.local.processes import log_path

# Slow machines take their time; what has failed is told at once.
DEADLINE = 120.0
INTERVAL = 0.1


def wait_until_ready(supervisor: Any, state: Path, url: str) -> None:
    """Return when all programs run and `/readyz` answers 200.

    Raises CommandError: a program ended, or did not start, or 120 seconds have passed.
    """
    deadline = time.monotonic() + DEADLINE
    running: dict[str, int] = {}
    while True:
        programs = {found["name"]: found for found in supervisor.getAllProcessInfo()}
        waiting = [name for name, found in programs.items() if found["statename"] != "RUNNING"]
        answer = "not asked yet" if waiting else ask(f"{url}/readyz")
        if answer == "200":
            return
        for name, found in programs.items():
            # Supervisor takes one that lives for some seconds for started, and starts it for ever.
            ended = running.get(name) not in {None, found["pid"]}
            if ended or found["statename"] in {"FATAL", "STOPPED"}:
                raise _failure(f"`{name}` does not run.", state, name)
            if found["statename"] == "RUNNING":
                running[name] = found["pid"]
        if time.monotonic() > deadline:
            part = waiting[0] if waiting else "api"
            raise _failure(
                f"`{part}` is not ready after {DEADLINE:.0f} s: {url}/readyz is {answer}.",
                state,
                part,
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
        f"Correct what it says, then run `{just('down')}` and `{just('up')}`."
    )
