"""Waiting until the stack is ready, or until a program has failed."""

import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from ops.console import CommandError, just, tail
from ops.local.processes import log_path

# Long enough for slow machines; failures are reported immediately.
DEADLINE = 120.0
INTERVAL = 0.1


def wait_until_ready(supervisor: Any, state: Path, url: str) -> None:
    """Return when all programs run and `/readyz` answers 200.

    Raises CommandError if a program ended, or did not start, or after 120 seconds.
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
            # Supervisor counts a program that lives for some seconds as started, and restarts it
            # forever.
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
    # Without a proxy from the environment, which can't reach this machine's loopback address.
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
        f"Fix the cause, then run `{just('down')}` and `{just('up')}`."
    )
