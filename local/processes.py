"""Supervisor: its configuration, its start, and the door to ask it."""

import os
import shlex
import socket
import stat
import subprocess
import sys
import tempfile
import time
import xmlrpc.client
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

from supervisor.xmlrpc import SupervisorTransport

from local.console import CommandError
from service.settings import ROOT

# A unix socket's path holds about 104 bytes, and supervisor adds its process id for a moment.
LONGEST_SOCKET_PATH = 90
INTERVAL = 0.05


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
    path = state / "supervisor.sock"
    if len(os.fsencode(path)) <= LONGEST_SOCKET_PATH:
        return path
    digest = sha256(os.fsencode(state)).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"just-{os.getuid()}-{digest}" / "supervisor.sock"


def _require_private(directory: Path) -> None:
    """Raise CommandError where others could put a socket of theirs into the directory."""
    found = directory.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o022:
        raise CommandError(f"{directory} is open to others. Remove it, or set a shorter STATE_DIR.")


def connect(state: Path) -> Any | None:
    """Return supervisor's interface, or None where it does not run."""
    path = socket_path(state)
    try:
        _require_private(path.parent)
        with socket.socket(socket.AF_UNIX) as door:
            door.connect(str(path))
    except (FileNotFoundError, ConnectionError):
        return None
    transport = SupervisorTransport(None, None, f"unix://{path}")
    return xmlrpc.client.ServerProxy("http://supervisor", transport).supervisor


def start(state: Path, programs: list[Program], identifier: str) -> Any:
    """Start supervisor with all programs stopped, and return its interface."""
    # No-one else may enter the directory where there is nothing but the socket.
    socket_path(state).parent.mkdir(mode=0o700, exist_ok=True)
    configuration = state / "supervisord.conf"
    configuration.touch(mode=0o600)
    configuration.write_text(_render(state, programs, identifier), encoding="utf-8")
    command = [sys.executable, "-m", "supervisor.supervisord", "-c", str(configuration)]
    done = subprocess.run(
        command,
        env={**os.environ, "STATE_DIR": str(state)},
        text=True,
        capture_output=True,
        check=False,
    )
    supervisor = connect(state) if done.returncode == 0 else None
    if supervisor is None:
        raise CommandError(f"supervisor did not start:\n{done.stdout}{done.stderr}")
    return supervisor


def _render(state: Path, programs: list[Program], identifier: str) -> str:
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
                **({"user": "root"} if os.getuid() == 0 else {}),
            },
        ),
        (
            "rpcinterface:supervisor",
            {"supervisor.rpcinterface_factory": "supervisor.rpcinterface:make_main_rpcinterface"},
        ),
        *((f"program:{program.name}", _settings(state, program)) for program in programs),
    ]
    # Supervisor expands `%`, so one in a path is doubled.
    return "\n".join(
        f"[{name}]\n"
        + "".join(f"{key} = {value}\n".replace("%", "%%") for key, value in pairs.items())
        for name, pairs in sections
    )


def _settings(state: Path, program: Program) -> dict[str, object]:
    return {
        "command": shlex.join(program.command),
        "directory": ROOT,
        "priority": program.priority,
        "autostart": "false",
        "autorestart": "true",
        # A process that ends within this time has failed to start; three such make it FATAL.
        "startsecs": 2,
        "stopsignal": program.stop_signal,
        "stopwaitsecs": program.stop_seconds,
        "redirect_stderr": "true",
        "stdout_logfile": log_path(state, program.name),
        "stdout_logfile_maxbytes": "10MB",
        "stdout_logfile_backups": 3,
        "environment": ",".join(f'{name}="{value}"' for name, value in program.environment.items()),
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
