"""The stack as local processes under supervisor: start, stop and status."""

import fcntl
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ops import ports
from ops.console import CommandError, just, tail
from ops.local import front, processes, programs, readiness, welcome
from ops.local.processes import log_path
from service.common.embedded import start_server
from service.settings import ROOT, Settings, make_private, private_file, require_owner

LOCK = "stack.lock"


def runs(settings: Settings) -> bool:
    """Return whether the stack runs as local processes."""
    return settings.state_dir.exists() and processes.connect(state_of(settings)) is not None


def url(settings: Settings) -> str | None:
    """Return the URL of the stack of local processes, or None if it does not run."""
    supervisor: Any = processes.connect(state_of(settings)) if runs(settings) else None
    return None if supervisor is None else str(supervisor.getIdentification())


def up(settings: Settings) -> int:
    """Start the stack, wait until it is ready and print the welcome."""
    state = state_of(settings)
    with alone(state):
        supervisor = processes.connect(state)
        if supervisor is None:
            processes.end_left_over(state)
            url = front.url(settings)
            ports.require_free(settings.http_port, front.hosts(settings))
            print("Starting; the first start takes some seconds longer.", flush=True)
            note = _start(settings, state, url)
        else:
            url = supervisor.getIdentification()
            readiness.wait_until_ready(supervisor, state, url)
            changed = url != front.url(settings)
            note = f"It was already running: HTTP_HOST and HTTP_PORT apply after `{just('down')}`."
            note = note if changed else ""
    welcome.show(url, settings, note)
    return 0


def _start(settings: Settings, state: Path, url: str) -> str:
    """Start all programs and return a note for the user."""
    make_private(state / "logs")
    chosen = programs.choose(settings, state)
    supervisor = processes.start(state, chosen.programs, identifier=url)
    try:
        for program in chosen.programs:
            if program.name == "api":
                _migrate(state)
            supervisor.startProcess(program.name, False)
            if program.name == "postgres":
                # This returns when the server accepts connections.
                start_server(state / "postgres")
        readiness.wait_until_ready(supervisor, state, url)
    except BaseException:
        processes.stop(supervisor, state)
        raise
    return chosen.note


def _migrate(state: Path) -> None:
    log = log_path(state, "migrate")
    with private_file(log) as output:
        output.truncate()
        done = subprocess.run(
            [sys.executable, "-m", "migrations", "upgrade"],
            cwd=ROOT,
            env={**os.environ, "STATE_DIR": str(state)},
            stdout=output,
            stderr=subprocess.STDOUT,
            check=False,
        )
    if done.returncode:
        raise CommandError(
            f"The migrations failed. The end of {log}:\n{tail(log)}\n"
            f"Check DATABASE_URL, if you set it, and try `{just('migrate')}`."
        )


def down(settings: Settings) -> int:
    """Stop the stack and wait until it has stopped."""
    state = state_of(settings)
    with alone(state):
        supervisor = processes.connect(state)
        if supervisor is None:
            ended = processes.end_left_over(state)
            print("Stopped processes of an earlier start." if ended else "Nothing is running.")
            return 0
        print("Stopping; requests in progress may finish.", flush=True)
        processes.stop(supervisor, state)
    print("Stopped. The data are kept.")
    return 0


def ps(settings: Settings) -> int:
    """Print what runs; return 0 when all of it does."""
    supervisor: Any = processes.connect(state_of(settings))
    if supervisor is None:
        print(f"Nothing is running. Start the stack with `{just('up')}`.")
        return 1
    found = supervisor.getAllProcessInfo()
    print(f"The stack of {supervisor.getIdentification()}\n")
    for process in found:
        print(f"{process['name']:<10} {process['statename']:<10} {process['description']}")
    return 0 if all(process["statename"] == "RUNNING" for process in found) else 1


def logs(settings: Settings) -> int:
    """Follow all logs of the stack, until Ctrl-C."""
    state = state_of(settings)
    found = [*sorted((state / "logs").glob("*.log")), *state.glob("postgres/log")]
    if not found:
        raise CommandError(f"There are no logs yet. Start the stack with `{just('up')}`.")
    os.execvp("tail", ["tail", "-n", "20", "-F", *map(str, found)])


def state_of(settings: Settings) -> Path:
    """Return the private state folder of the stack; create it if it is missing.

    Raises DirectoryError or CommandError if it is another user's, or has other content.
    """
    state = settings.state_dir
    require_own(state)
    # As root, PostgreSQL runs as another user, who needs access to its folder.
    make_private(state, mode=0o700 if os.geteuid() else 0o711)
    return state


def require_own(state: Path) -> None:
    """Raise DirectoryError or CommandError if the folder is for others, or for other things."""
    # A service alone, without the stack, keeps its PostgreSQL there.
    known = any((state / name).exists() for name in (LOCK, "postgres.lock"))
    if state.exists() and state != ROOT / ".local" and not known:
        require_owner(state)
        if any(state.iterdir()):
            raise CommandError(
                f"STATE_DIR: {state} has other content. Choose a separate folder, which may be "
                "missing."
            )


@contextmanager
def alone(state: Path) -> Iterator[None]:
    """Serialize `up` and `down`: a second one waits."""
    with private_file(state / LOCK) as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
