"""Supervisor: its configuration, its start, and its interface."""

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
from string import Template
from typing import Any

import psutil
from supervisor.xmlrpc import SupervisorTransport

from ops.console import CommandError
from service.settings import ROOT, make_private, private_file, require_owner, socket_directory

TEMPLATES = ROOT / "ops" / "local" / "supervisor"
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
    """Return the socket of the supervisor of this state directory."""
    return socket_directory(state) / "supervisor.sock"


def connect(state: Path) -> Any | None:
    """Return supervisor's interface, or None if it does not run."""
    path = socket_path(state)
    try:
        # Another user could have created the folder and the socket.
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
    configuration.write_text(render(programs), encoding="utf-8")
    # Supervisor opens this one before it sets its umask; others may be an earlier version's.
    private_file(state / "logs" / "supervisor.log").close()
    for log in (state / "logs").iterdir():
        log.chmod(0o600)
    command = [sys.executable, "-m", "supervisor.supervisord", "-c", str(configuration)]
    # Without it, supervisor warns that it runs as root.
    command += ["-u", "root"] if os.getuid() == 0 else []
    done = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, "STATE_DIR": str(state), **variables(state, programs, identifier)},
        text=True,
        capture_output=True,
        check=False,
    )
    supervisor = connect(state) if done.returncode == 0 else None
    if supervisor is None:
        raise CommandError(f"supervisor did not start:\n{done.stdout}{done.stderr}")
    return supervisor


def end_left_over(state: Path) -> bool:
    """Stop the programs of a stack whose supervisor was killed; return whether there were any."""
    found = left_over(state)
    for process in found:
        with suppress(psutil.NoSuchProcess):
            process.terminate()
    _, alive = psutil.wait_procs(found, timeout=LEFT_OVER_SECONDS)
    for process in alive:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    # A server that has not exited yet still holds its port, or its folder.
    psutil.wait_procs(alive, timeout=LEFT_OVER_SECONDS)
    return bool(found)


def left_over(state: Path) -> list[psutil.Process]:
    """Return the programs of the stack, for when their supervisor does not run."""
    return [process for process in psutil.process_iter() if _is_of(process, state)]


def _is_of(process: psutil.Process, state: Path) -> bool:
    try:
        if process.pid == os.getpid() or process.uids().real != os.getuid():
            return False
        # nginx keeps no environment; its processes are identified by their folder and name.
        if process.name() == "nginx":
            parent = process.parent()
            orphan = parent is None or parent.name() != "nginx"
            # It is empty while a process exits.
            command = " ".join(process.cmdline())
            named = f"{state}/nginx/" in command
            return process.cwd() == str(ROOT) and (named or (orphan and "worker" in command))
        environment = process.environ()
        return environment.get("STATE_DIR") == str(state) and "SUPERVISOR_ENABLED" in environment
    except psutil.Error:
        return False


def render(programs: list[Program]) -> str:
    """Return supervisor's configuration, whose variables are `variables`."""
    program = Template((TEMPLATES / "program.conf.template").read_text("utf-8"))
    sections = (
        program.substitute(
            NAME=one.name,
            PRIORITY=one.priority,
            STOP_SIGNAL=one.stop_signal,
            STOP_SECONDS=one.stop_seconds,
        )
        for one in programs
    )
    return (TEMPLATES / "supervisord.conf.template").read_text("utf-8") + "".join(sections)


def variables(state: Path, programs: list[Program], identifier: str) -> dict[str, str]:
    """Return the variables that supervisor's configuration takes its values from."""
    values = {
        "DIRECTORY": str(ROOT),
        "IDENTIFIER": identifier,
        # Of all values, supervisor expands this one twice.
        "PROGRAM_LOGS": str(state / "logs").replace("%", "%%"),
        "SOCKET": str(socket_path(state)),
        "STATE": str(state),
    }
    for program in programs:
        pairs = (f'{name}="{value}"' for name, value in program.environment.items())
        values[f"COMMAND_{program.name}"] = shlex.join(program.command)
        values[f"ENVIRONMENT_{program.name}"] = ",".join(pairs)
    return {f"SUPERVISOR_{name}": value for name, value in values.items()}


def log_path(state: Path, name: str) -> Path:
    """Return the log of the program."""
    return state / "logs" / f"{name}.log"


def stop(supervisor: Any, state: Path) -> None:
    """Stop all programs in reverse order, then supervisor; return when it has exited."""
    process = psutil.Process(supervisor.getPID())
    supervisor.shutdown()
    # Supervisor kills a program that takes too long to end, and then exits, so this ends.
    while not _has_exited(process):
        time.sleep(INTERVAL)
    if socket_path(state).parent != state:
        socket_path(state).parent.rmdir()


def _has_exited(process: psutil.Process) -> bool:
    try:
        # A zombie stays if the first process of a container does not wait for it.
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
