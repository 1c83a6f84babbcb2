"""nginx in front of the service, if this machine has one that works."""

import grp
import math
import os
import re
import resource
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ops.executables import find_executable
from service.limits import PROGRESS_SECONDS
from service.settings import ROOT, Settings, make_private

TEMPLATE = ROOT / "nginx" / "nginx.conf.template"
# Values of the template that depend on the machine, not on the settings.
PLACES = ("NGINX_LISTEN", "NGINX_NEWER", "NGINX_STATUS", "NGINX_UPSTREAM")
# How much longer than the service's limit a body may be before nginx itself rejects it.
MARGIN_BYTES = 1 << 20
# How much longer than the service nginx waits, so that the service's own 408 and 504 are sent.
MARGIN_SECONDS = 10
# The kernel's buffer of a response; by default it would grow to several MB.
SEND_BUFFER = "sndbuf=128k"
# A browser loads the assets of the documentation page in parallel.
FEWEST_LARGE = 8
# The most files that nginx opens; the system may allow fewer.
OPEN_FILES = 1 << 15
# For its version, or a check of its configuration.
RUN_SECONDS = 20

# That of Debian 11 and of Ubuntu 20.04 and 22.04.
OLDEST = (1, 18, 0)
# Without `-e`, nginx first tries the log file that its packager chose.
LOG_OPTION = (1, 19, 5), ("-e", "stderr")
# A connection that a client is about to use again outlives a reload.
KEEPALIVE_MINIMUM = (1, 27, 4), "keepalive_min_timeout 10s;"


class UnusableError(Exception):
    """nginx can't be used: the message says why."""


@dataclass(frozen=True)
class Nginx:
    """An nginx of this machine."""

    path: str
    version: tuple[int, ...]

    def __str__(self) -> str:
        return _dotted(self.version)

    def command(self, prefix: Path) -> list[str]:
        """Return the command that runs it in the foreground, on the configuration in `prefix`."""
        since, log_option = LOG_OPTION
        options = [*log_option] if self.version >= since else []
        if os.getuid() == 0:
            # The state directory may lie in root's home, which no other user can enter.
            options += ["-g", f"user root {grp.getgrgid(0).gr_name};"]
        # The only path is an argument: those in the configuration are relative to the prefix.
        return [self.path, *options, "-p", f"{prefix}/", "-c", "nginx.conf"]

    @property
    def newer_directives(self) -> str:
        """Directives of `http` that the oldest supported version does not know."""
        since, directive = KEEPALIVE_MINIMUM
        return directive if self.version >= since else ""


def executable() -> str | None:
    """Return the path of nginx, or None if it is not installed."""
    return find_executable("nginx")


def find() -> Nginx:
    """Return the nginx of this machine. Raises UnusableError: there is none, or it is too old."""
    path = executable()
    if path is None:
        raise UnusableError("nginx is not installed: it is not on PATH or in the usual folders.")
    answer = _run([path, "-v"])
    found = re.search(r"nginx/(\d+)\.(\d+)\.(\d+)", answer.stderr)
    # A fork of nginx has other version numbers: the check of the configuration decides.
    version = tuple(map(int, found.groups())) if found else OLDEST
    if answer.returncode:
        raise UnusableError(f"{path} does not run: {_reason(answer.stderr)}.")
    if version < OLDEST:
        raise UnusableError(f"{path} is {_dotted(version)}; {_dotted(OLDEST)} or later is needed.")
    return Nginx(path, version)


def prepare(settings: Settings, state: Path, front: Iterable[str], service: str) -> list[str]:
    """Write the configuration for this stack and return the command that uses it.

    Raises UnusableError if there is no nginx, or if it rejects the configuration.
    """
    nginx = find()
    places = {
        "NGINX_LISTEN": listen(front),
        "NGINX_NEWER": nginx.newer_directives,
        # Nothing here reads it.
        "NGINX_STATUS": "",
        "NGINX_UPSTREAM": f"server {service};",
    }
    prefix = state / "nginx"
    make_private(prefix)
    (prefix / "nginx.conf").write_text(render(values(settings) | places), encoding="utf-8")
    command = nginx.command(prefix)
    checked = _run([*command, "-t", "-q"])
    if checked.returncode:
        raise UnusableError(f"{nginx.path} rejects its configuration: {_reason(checked.stderr)}.")
    return command


def values(settings: Settings) -> dict[str, str]:
    """Return the values that come from the settings and the limits of this process."""
    # Imported here: without SQLAlchemy a command starts in half the time.
    from service.common.database import COMMAND_GRACE_SECONDS  # noqa: PLC0415

    request = settings.request_timeout + settings.database_statement_timeout
    files = _open_files()
    seconds = max(request, PROGRESS_SECONDS.value) + COMMAND_GRACE_SECONDS
    return {
        "NGINX_CLIENT_LARGE": str(max(math.ceil(settings.connection_limit / 4), FEWEST_LARGE)),
        "NGINX_CONNECTION_LIMIT": str(settings.connection_limit),
        "NGINX_CONNECTIONS": str(files // 2),
        "NGINX_KEEP_ALIVE": str(settings.keep_alive_timeout),
        "NGINX_LARGE": str(settings.max_connections // 2),
        "NGINX_MAX_BODY_BYTES": str(
            max(settings.max_body_bytes, settings.max_import_bytes) + MARGIN_BYTES
        ),
        "NGINX_OPEN_FILES": str(files),
        "NGINX_ORIGINS": _origins(settings.cors_origins),
        "NGINX_PATH_PREFIX": settings.path_prefix,
        "NGINX_RATE_LIMIT": str(settings.rate_limit),
        "NGINX_TIMEOUT": str(math.ceil(seconds) + MARGIN_SECONDS),
        "NGINX_TRUSTED_PROXIES": "\n".join(
            f"set_real_ip_from {network};" for network in settings.trusted_proxies
        ),
    }


def listen(binds: Iterable[str]) -> str:
    """Return the directives for these addresses; `[::]` stands for those of both families."""
    both = {True: " ipv6only=off", False: ""}
    return "\n".join(
        f"listen {bind}{both[bind.startswith('[::]')]} {SEND_BUFFER};" for bind in binds
    )


def render(values: dict[str, str]) -> str:
    """Return the configuration, as the image of nginx renders it from its environment."""
    # nginx's own variables are in lower case and have no braces, so they stay as they are.
    return re.sub(r"\$\{([A-Z_]+)\}", lambda found: values[found[1]], TEMPLATE.read_text("utf-8"))


def _open_files() -> int:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, OPEN_FILES)


def _origins(origins: tuple[str, ...]) -> str:
    if "*" in origins:
        return 'default "*";'
    return "\n".join(f'"{origin}" $http_origin;' for origin in origins)


def _run(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            command,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=RUN_SECONDS,
            check=False,
        )
    except OSError as error:
        raise UnusableError(f"{command[0]} does not run: {error.strerror}.") from error
    except subprocess.TimeoutExpired as error:
        raise UnusableError(f"{command[0]} did not end within {RUN_SECONDS} s.") from error


def _reason(errors: str) -> str:
    """Return nginx's own line, which is not always its first."""
    lines = errors.strip().splitlines() or ["it prints no reason"]
    return next((line for line in lines if "[emerg]" in line), lines[-1]).rstrip(".")


def _dotted(version: Iterable[int]) -> str:
    return "nginx " + ".".join(map(str, version))
