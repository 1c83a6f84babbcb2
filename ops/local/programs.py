"""The programs of the stack: PostgreSQL, the service, and nginx if it is installed."""

import sys
from dataclasses import dataclass
from pathlib import Path

from ops import ports
from ops.console import just
from ops.local import front, nginx
from ops.local.processes import Program
from service.settings import Settings

# What a process may need to end beyond the longest request.
STOP_MARGIN = 10
LOOPBACK = "127.0.0.0/8,::1/128"
WITHOUT_NGINX = (
    "The service runs without nginx: nothing limits the requests per client, disconnects slow "
    "clients early, or compresses responses. To change that, install or repair nginx, then run "
    f"`{just('down')}` and `{just('up')}`."
)


@dataclass(frozen=True)
class Choice:
    """The programs, in the order of their start, and a note for the user."""

    programs: list[Program]
    note: str = ""


def choose(settings: Settings, state: Path) -> Choice:
    """Return the programs for this machine."""
    stop_seconds = round(settings.drain_seconds + settings.request_timeout + STOP_MARGIN)
    # As in the image: the C library keeps less of the memory for large bodies and responses.
    environment = {"MALLOC_MMAP_THRESHOLD_": "65536"}
    binds, note, proxies = [f"127.0.0.1:{ports.find_free()}"], "", []
    try:
        command = nginx.prepare(settings, state, front.binds(settings), binds[0])
        # nginx, which has the addresses of clients from its own trusted proxies.
        environment["TRUSTED_PROXIES"] = LOOPBACK
        # QUIT lets nginx finish what it is answering.
        proxies = [Program("nginx", command, 3, stop_signal="QUIT", stop_seconds=stop_seconds)]
    except nginx.UnusableError as error:
        binds, note = front.binds(settings), f"{error} {WITHOUT_NGINX}"
    if "bind" in settings.model_fields_set:
        # In addition to the front.
        binds += [bind for bind in settings.bind if bind not in front.binds(settings)]
    postgres = Program("postgres", [sys.executable, "-m", "ops.local.postgres"], priority=1)
    api = Program(
        "api",
        [sys.executable, "-m", "service"],
        priority=2,
        environment=environment | {"BIND": ",".join(binds)},
        stop_seconds=stop_seconds,
    )
    maintenance = Program(
        "maintenance",
        [sys.executable, "-m", "service.maintenance"],
        priority=4,
        environment={"METRICS_BIND": next_port(settings.metrics_bind)},
    )
    databases = [postgres] if settings.database_url is None else []
    return Choice([*databases, api, *proxies, maintenance], note)


def next_port(bind: str) -> str:
    """Return the address for the metrics of maintenance, next to that of the service."""
    host, _, port = bind.rpartition(":")
    return f"{host}:{int(port) + 1}" if bind else ""
