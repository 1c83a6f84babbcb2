"""Checks of this machine: Python, disk, clock, limits, ports."""

import os
import platform
import shutil
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import psutil

from ops import bootstrap, ports
from ops.console import CommandError, just
from ops.containers import stack as containers
from ops.doctor.checking import Finding, NothingToCheckError, Outcome
from ops.doctor.subject import Place, Subject
from ops.local import front, programs, stack
from service import limits
from service.server import reserve_descriptors
from service.settings import ROOT, Settings

FULL_BYTES = 100 << 20
NEARLY_FULL_BYTES = 1 << 30
CLOCK_SECONDS = 60
OWNER_BITS = 0o700


def check_python(_subject: Subject) -> Outcome:
    """Check that Python and the machine are among those that are tested."""
    bootstrap.require_usable()
    if sys.version_info[:2] > bootstrap.NEWEST:
        newest = ".".join(map(str, bootstrap.NEWEST))
        return [
            Finding(
                f"Python {platform.python_version()} is newer than {newest}, the newest that is "
                "tested.",
                f"If anything fails, remove .venv, put Python {newest} first on the PATH, and run "
                f"`{just('setup')}`.",
            )
        ]
    return f"{platform.python_version()} on {platform.system()} {platform.machine()}"


def check_disk(subject: Subject) -> Outcome:
    """Check that there is room in the folders that are written to."""
    folders = {Path(tempfile.gettempdir()), ROOT, _existing(subject.state_dir)}
    # One folder of each file system.
    places = {folder.stat().st_dev: folder for folder in sorted(folders, reverse=True)}
    findings, lines = [], []
    for folder in places.values():
        free = shutil.disk_usage(folder).free
        size = f"{free >> 20} MiB" if free < NEARLY_FULL_BYTES else f"{free >> 30} GiB"
        lines.append(f"{size} free in {folder}")
        found = os.statvfs(folder)
        if found.f_flag & os.ST_RDONLY:
            findings.append(
                Finding(
                    f"The file system of {folder} is read-only.",
                    "Mount it for writing, or move the project; after a fault of the disk, `dmesg` "
                    "says what it was.",
                )
            )
        elif free < NEARLY_FULL_BYTES:
            state = "full" if free < FULL_BYTES else "nearly full"
            findings.append(
                Finding(
                    f"The disk of {folder} is {state}: {size} are free.",
                    f"Make room: `du -xsh {folder}/*` shows what takes it. PostgreSQL stops when "
                    "the disk is full.",
                )
            )
        elif found.f_files and not found.f_favail:
            findings.append(
                Finding(
                    f"The file system of {folder} has no inode left for a new file.",
                    "Remove files: many small ones, such as those of caches.",
                )
            )
    return findings or ", ".join(lines)


def check_clock(subject: Subject) -> Outcome:
    """Compare the clock with that of the file system, and with the files of the project."""
    folder = _existing(subject.state_dir)
    if not os.access(folder, os.W_OK):
        raise NothingToCheckError(f"{folder} can't be written")
    with tempfile.TemporaryFile(dir=folder) as file:
        # Without a name, so that nothing is left.
        ahead = time.time() - os.fstat(file.fileno()).st_mtime
    if abs(ahead) > CLOCK_SECONDS:
        return [
            Finding(
                f"The clock of this machine is {abs(ahead):.0f} s "
                f"{'ahead of' if ahead > 0 else 'behind'} that of its file system.",
                "Correct the one that is wrong, here or on the file server: `timedatectl set-ntp "
                "true` turns on its synchronisation.",
            )
        ]
    files = [*ROOT.iterdir(), *(subject.state_dir / "logs").glob("*.log")]
    newest = max(files, key=lambda path: path.lstat().st_mtime)
    if (future := newest.lstat().st_mtime - time.time()) > CLOCK_SECONDS:
        return [
            Finding(
                f"{newest} is from the future, by {future:.0f} s: the clock of this machine was "
                "set back, or is wrong.",
                "Check it with `date`; `timedatectl set-ntp true` turns on its synchronisation.",
            )
        ]
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime())


def check_open_files(subject: Subject) -> Outcome:
    """Check that the service may open as many files as it needs."""
    settings = subject.settings
    waiting = reserve_descriptors(settings.max_connections, settings.database_pool_size)
    line = f"enough for {settings.max_connections} clients"
    if waiting < limits.WAITING_CONNECTIONS.value:
        line += f"; {waiting} more can wait, with a higher limit {limits.WAITING_CONNECTIONS.value}"
    return line


def check_umask(_subject: Subject) -> Outcome:
    """Check that new files can be used by the user who creates them."""
    umask = os.umask(0o077)
    os.umask(umask)
    if umask & OWNER_BITS:
        return [
            Finding(
                f"The umask is {umask:04o}: you may not use the files that you create.",
                "Set it in the profile of your shell: `umask 022`.",
            )
        ]
    return f"{umask:04o}"


def check_ports(subject: Subject) -> Outcome:
    """Check that the addresses of the stack are free, or are the stack's."""
    settings = subject.settings
    if subject.place is not Place.NOWHERE:
        if subject.place is Place.LOCAL:
            found, wanted = stack.url(settings), front.url(settings)
        else:
            published = [port for one in containers.listed() for port in one["Publishers"] or ()]
            listening = {str(port["PublishedPort"]) for port in published} - {"0"}
            found = f"port {', '.join(sorted(listening)) or 'none'}"
            wanted = f"port {settings.http_port}"
        if found == wanted:
            return f"the stack listens at {found}"
        return [
            Finding(
                f"The stack listens at {found}, and HTTP_HOST and HTTP_PORT say {wanted}.",
                f"To apply them, run `{just('down')}`, then `{just('up')}`.",
            )
        ]
    findings = []
    try:
        ports.require_free(settings.http_port, front.hosts(settings))
    except CommandError as error:
        findings.append(Finding(str(error), _listener(settings.http_port)))
    for name, bind in _other_addresses(settings):
        host, _, port = bind.rpartition(":")
        try:
            ports.require_free(int(port), [host.strip("[]")])
        except CommandError as error:
            reason = getattr(error.__cause__, "strerror", "") or "it is not free"
            remedy = f"Choose another address for {name}. {_listener(int(port))}".strip()
            findings.append(Finding(f"{name}: can't listen on {bind}: {reason}.", remedy))
    return findings or f"{settings.http_port} is free"


def _other_addresses(settings: Settings) -> list[tuple[str, str]]:
    """Return what listens in addition to the front, each with the name of its setting."""
    binds = settings.bind if "bind" in settings.model_fields_set else ()
    others = [("BIND", bind) for bind in binds if bind not in front.binds(settings)]
    others.append(("METRICS_BIND", settings.metrics_bind))
    others.append(("METRICS_BIND", programs.next_port(settings.metrics_bind)))
    return [(name, bind) for name, bind in others if bind and not bind.startswith("unix:")]


def _listener(port: int) -> str:
    """Return a sentence about the program that listens on a port; it may be another user's."""
    with suppress(psutil.Error):
        for one in psutil.net_connections("tcp"):
            if one.status == psutil.CONN_LISTEN and one.laddr.port == port and one.pid:
                process = psutil.Process(one.pid)
                return (
                    f"It is {process.name()}, process {process.pid} of {process.username()}, "
                    f"started in {process.cwd()}."
                )
    return ""


def _existing(path: Path) -> Path:
    """Return the path, or the nearest folder above it that exists."""
    return next(one for one in (path, *path.parents) if one.exists())
