"""Supervisor: its configuration, its start, and the door to ask it."""

import os
import shlex
import socket
import subprocess
import sys
import time
import xmlrpc.client
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from supervisor.xmlrpc import SupervisorTransport

from local.console import CommandError
from service.settings import ROOT, make_private, private_file, require_owner, socket_directory

INTERVAL = 0.05
LEFT_OVER_SECONDS = 30


@dataclass(frozen=True)
class Program:
    """A process that supervisor keeps alive."""

    name: str
    command: list[str]
    priority: int
    environment: Mapping[str, str] = field(default_factory=dict)
    stop_signal: str = "TERM"
    stop_seconds: int = 20


def socket_path(state: Path) -> Path:
    """Return where supervisor of this state directory listens."""
    return socket_directory(state) / "supervisor.sock"


def connect(state: Path) -> Any | None:
    """Return supervisor's interface, or None if it does not run."""
    path = socket_path(state)
    try:
        # Others could put a socket of theirs into a folder of theirs.
        require_owner(path.parent)
        with socket.socket(socket.AF_UNIX) as door:
            door.connect(str(path))
    except (FileNotFoundError, ConnectionError):
        return None
    transport = SupervisorTransport(None, None, f"unix://{path}")
    return xmlrpc.client.ServerProxy("http://supervisor", transport).supervisor


def start(state: Path, programs: list[Program], identifier: str) -> Any:
    """Start supervisor with all programs stopped, and return its interface."""
    if socket_path(state).parent != state:
        make_private(socket_path(state).parent)
    configuration = state / "supervisord.conf"
    text, values = render(state, programs, identifier)
    configuration.write_text(text, encoding="utf-8")
    # Supervisor opens this one before it sets its umask; others may be an earlier version's.
    private_file(state / "logs" / "supervisor.log").close()
    for log in (state / "logs").iterdir():
        log.chmod(0o600)
    command = [sys.executable, "-m", "supervisor.supervisord", "-c", str(configuration)]
    done = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, "STATE_DIR": str(state), **values},
        text=True,
        capture_output=True,
        check=False,
    )
    supervisor = connect(state) if done.returncode == 0 else None
    if supervisor is None:
        raise CommandError(f"supervisor did not start:\n{done.stdout}{done.stderr}")
    return supervisor


def end_left_over(state: Path) -> bool:
    """End the programs of a stack whose supervisor was killed; return whether there were any."""
    found = [process for process in psutil.process_iter() if _is_of(process, state)]
    for process in found:
        with suppress(psutil.NoSuchProcess):
            process.terminate()
    _, alive = psutil.wait_procs(found, timeout=LEFT_OVER_SECONDS)
    for process in alive:
        process.kill()
    return bool(found)


def _is_of(process: psutil.Process, state: Path) -> bool:
    try:
        if process.pid == os.getpid() or process.uids().real != os.getuid():
            return False
        # nginx keeps no environment; its processes are known by their folder and their name.
        if process.name() == "nginx":
            parent = process.parent()
            orphan = parent is None or parent.name() != "nginx"
            named = any(f"{state}/nginx/" in text for text in process.cmdline())
            return process.cwd() == str(ROOT) and (
                named or (orphan and "worker" in process.cmdline()[0])
            )
        environment = process.environ()
        return environment.get("STATE_DIR") == str(state) and "SUPERVISOR_ENABLED" in environment
    except psutil.Error:
        return False


def render(state: Path, programs: list[Program], identifier: str) -> tuple[str, dict[str, str]]:
    """Return supervisor's configuration, and the variables that it takes its values from.

    A value in the file itself would end at ` ;` or ` #`, and `%` would begin a name.
    """
    sections: list[tuple[str, Mapping[str, object]]] = [
        ("unix_http_server", {"file": socket_path(state), "chmod": "0700"}),
        (
            "supervisord",
            {
                "identifier": identifier,
                "logfile": state / "logs" / "supervisor.log",
                "logfile_maxbytes": "10MB",
                "logfile_backups": 3,
                "pidfile": state / "supervisor.pid",
                # Of the logs, and of all that the programs write.
                "umask": "077",
                **({"user": "root"} if os.getuid() == 0 else {}),
            },
        ),
        (
            "rpcinterface:supervisor",
            {"supervisor.rpcinterface_factory": "supervisor.rpcinterface:make_main_rpcinterface"},
        ),
        *((f"program:{program.name}", _settings(state, program)) for program in programs),
    ]
    lines: list[str] = []
    values: dict[str, str] = {}
    for section, pairs in sections:
        lines.append(f"[{section}]")
        for key, value in pairs.items():
            name = f"SUPERVISOR_{len(values)}"
            values[name] = str(value)
            lines.append(f"{key} = %(ENV_{name})s")
    return "\n".join([*lines, ""]), values


def _settings(state: Path, program: Program) -> dict[str, object]:
    return {
        "command": shlex.join(program.command),
        "environment": ",".join(f'{name}="{value}"' for name, value in program.environment.items()),
        "directory": ROOT,
        "priority": program.priority,
        "autostart": "false",
        "autorestart": "true",
        # A process that ends within this time has failed to start; three such make it FATAL. One
        # that ends later is noticed too: see local/readiness.py.
        "startsecs": 1,
        "stopsignal": program.stop_signal,
        "stopwaitsecs": program.stop_seconds,
        "redirect_stderr": "true",
        # Of all values, supervisor expands this one twice.
        "stdout_logfile": str(log_path(state, program.name)).replace("%", "%%"),
        "stdout_logfile_maxbytes": "10MB",
        "stdout_logfile_backups": 3,
    }


def log_path(state: Path, name: str) -> Path:
    """Return the log of the program."""
    return state / "logs" / f"{name}.log"


def stop(supervisor: Any, state: Path) -> None:
    """Stop all programs, the last started first, then supervisor; return when it is gone."""
    supervisor.shutdown()
    # Supervisor closes its socket after the last program has ended; it kills one that takes too
    # long, so this ends.
    while connect(state) is not None:
        time.sleep(INTERVAL)
    if socket_path(state).parent != state:
        socket_path(state).parent.rmdir()
