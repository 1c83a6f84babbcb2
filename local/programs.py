"""The programs of the stack: PostgreSQL, the service, and nginx where it is installed."""

import sys
from pathlib import Path

from local import nginx, ports
from local.processes import Program
from service.settings import Settings

# What a process may need to end beyond the longest request.
STOP_MARGIN = 10


def choose(settings: Settings, state: Path) -> list[Program]:
    """Return what this machine needs to run, in the order of the start."""
    front = f"127.0.0.1:{settings.http_port}"
    service = f"127.0.0.1:{ports.find_free()}" if nginx.executable() else front
    stop_seconds = round(settings.drain_seconds + settings.request_timeout + STOP_MARGIN)
    postgres = Program("postgres", [sys.executable, "-m", "local.postgres"], priority=1)
    api = Program(
        "api",
        [sys.executable, "-m", "service"],
        priority=2,
        environment={"BIND": service},
        stop_seconds=stop_seconds,
    )
    chores = Program("chores", [sys.executable, "-m", "service.chores"], priority=4)
    programs = [postgres, api] if settings.database_url is None else [api]
    if nginx.executable():
        command = nginx.command(nginx.write_configuration(settings, state, service))
        # QUIT lets nginx finish what it is answering.
        programs.append(Program("nginx", command, 3, stop_signal="QUIT", stop_seconds=stop_seconds))
    return [*programs, chores]
