"""Checks of the stack: its programs or containers, the embedded PostgreSQL, readiness."""

import fcntl
import os
import re
import subprocess
from datetime import UTC, datetime, timedelta

import httpx
import psutil

from ops import api, modes
from ops.console import CommandError, just, tail
from ops.containers import compose
from ops.containers import stack as containers
from ops.doctor.checking import Finding, NothingToCheckError, Outcome
from ops.doctor.subject import Place, Subject
from ops.local import processes, stack
from service.common import embedded

# How long ago the end of a program is still of interest.
RECENT = timedelta(minutes=10)
LOG_BYTES = 1 << 16
SECONDS = 10
START = "The stack does not run: `{}` starts it"
# Supervisor's lines about its own start, and about a program that ended by itself.
STARTED = "supervisord started with pid"
EXITED = re.compile(r"(\S+ \S+),\d+ \w+ exited: (\S+) \(([^;)]*)")


def check_programs(subject: Subject) -> Outcome:
    """Check that each program or container of the stack runs, and has not just been restarted."""
    if subject.place is Place.LOCAL:
        return _local(subject)
    if subject.place is Place.CONTAINERS:
        return _containers()
    left = processes.left_over(subject.settings.state_dir)
    if left:
        names = ", ".join(map(_title, left))
        return [
            Finding(
                f"The supervisor of the stack has ended, and these processes of it are left: "
                f"{names}.",
                f"Run `{just('down')}`, which ends them, then `{just('up')}`.",
            )
        ]
    return START.format(just("up"))


def _title(process: psutil.Process) -> str:
    try:
        return f"{process.name()} ({process.pid})"
    except psutil.Error:  # It has just ended.
        return str(process.pid)


def _local(subject: Subject) -> Outcome:
    supervisor, settings = subject.supervisor, subject.settings
    ended: dict[str, list[tuple[str, str]]] = {}
    # Of this supervisor, not of the ones before.
    since = supervisor.readLog(-LOG_BYTES, 0).rpartition(STARTED)[2]
    for at, name, reason in EXITED.findall(since):
        if (
            datetime.now() - datetime.fromisoformat(at) < RECENT
        ):  # Local time, as in supervisor's log.
            ended.setdefault(name, []).append((at, reason))
    findings, names = [], []
    for found in supervisor.getAllProcessInfo():
        name, state = found["name"], found["statename"]
        names.append(name)
        log = processes.log_path(settings.state_dir, name)
        if state != "RUNNING":
            finding = Finding(
                f"`{name}` does not run: supervisor says {state} ({found['description']}). The "
                f"end of {log}:\n{tail(log)}",
                f"Fix the cause, then run `{just('down')}` and `{just('up')}`.",
            )
        elif name in ended:
            at, reason = ended[name][-1]
            finding = Finding(
                f"`{name}` runs, but it ended at {at} ({reason}) and was started again. Times "
                f"within the last {RECENT.seconds // 60} minutes: {len(ended[name])}.",
                f"See what {log} says before that time. If it does not say why, see `dmesg`: the "
                "system kills programs when it has no memory left.",
            )
        else:
            continue
        findings.append(finding)
    return findings or f"{', '.join(names)} run as local processes"


def _containers() -> Outcome:
    findings, names = [], []
    for one in containers.listed():
        names.append(one["Service"])
        known = compose.inspect(one["Name"])
        started = datetime.fromisoformat(known["State"]["StartedAt"])
        state = one.get("Status") or one["State"]
        if not containers.is_well(one):
            problem = f"The container {one['Name']} is not well: {state}."
        elif known["RestartCount"] and datetime.now(UTC) - started < RECENT:
            problem = (
                f"The container {one['Name']} was started again at {started:%H:%M:%S} UTC, because "
                f"it had ended. Times since it was created: {known['RestartCount']}."
            )
        else:
            continue
        findings.append(
            Finding(
                problem,
                f"`docker logs --tail 20 {one['Name']}` says why. Fix the cause, then run "
                f"`{just('up')}`.",
            )
        )
    return findings or f"{', '.join(names)} run in containers"


def check_commands(subject: Subject) -> Outcome:
    """Check that no other command that starts or stops the stack is running, or hangs."""
    path = subject.settings.state_dir / stack.LOCK
    if not path.exists():
        return "none has run yet"
    with path.open() as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return [
                Finding(
                    f"Another command, such as `{just('up')}` or `{just('down')}`, is running or "
                    f"hangs: it holds {path}.",
                    f"Wait for it, or find it with `fuser {path}` and end it.",
                )
            ]
    return "none is changing the stack"


def check_ready(subject: Subject) -> Outcome:
    """Ask the running service whether it is ready, by the way that clients take."""
    if subject.place is Place.NOWHERE:
        raise NothingToCheckError("the stack does not run")
    url = modes.url(subject.settings)
    remedy = f"What else is wrong may be the cause; `{just('logs')}` shows what the service says."
    try:
        with api.connect(url) as client:
            response = client.get("/readyz", timeout=SECONDS)
    except CommandError as error:
        return [Finding(str(error), remedy)]
    if response.status_code == httpx.codes.OK:
        return f"{url}/readyz says so"
    try:
        said = response.json()["error"]["message"]
    except (ValueError, KeyError, TypeError):
        said = "this is not a response of the service, but of another program."
    return [Finding(f"{url}/readyz responds {response.status_code}: {said}", remedy)]


def check_embedded(subject: Subject) -> Outcome:
    """Check the data of the embedded PostgreSQL: whose they are, and of which version."""
    settings = subject.settings
    if settings.database_url is not None:
        raise NothingToCheckError("DATABASE_URL names another database")
    data = settings.state_dir / "postgres"
    if not data.exists():
        return "it has no data yet"
    version_file = data / "PG_VERSION"
    if not version_file.exists():
        return f"{data} is empty"
    made_by = version_file.read_text("utf-8").strip()
    program = _major_version()
    if made_by != program:
        return [
            Finding(
                f"The data in {data} are of PostgreSQL {made_by}, and the embedded one is "
                f"{program}, which can't read them.",
                f"With the earlier version of this project run `{just('backup FILE')}`; then "
                f"remove {data}, and with this version run `{just('up')}` and "
                f"`{just('restore FILE')}`.",
            )
        ]
    if embedded.running_url(data) is not None:
        return f"PostgreSQL {program} runs"
    return f"PostgreSQL {program} does not run; it starts with the stack"


def _major_version() -> str:
    said = subprocess.run(
        [embedded.program("postgres"), "--version"],
        capture_output=True,
        text=True,
        timeout=SECONDS,
        env={"PATH": os.defpath},
        check=False,
    ).stdout
    found = re.search(r"\(PostgreSQL\) (\d+)", said)
    return found[1] if found else "of an unknown version"
