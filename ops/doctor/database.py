"""Checks of the database: its server, client programs, schema, connections, clock."""

import time

from ops.console import just
from ops.containers import stack as containers
from ops.data import clients
from ops.data.databases import Database
from ops.doctor.checking import Finding, NothingToCheckError, Outcome
from ops.doctor.queries import NOW
from ops.doctor.subject import Place, Subject
from service.common.database import OLDEST_SERVER, known_revisions, pool_sizes
from service.common.errors import DatabaseError

# Of the service, only maintenance connects besides the replicas.
MAINTENANCE_CONNECTIONS = 1
CLOCK_SECONDS = 2


def check_reached(subject: Subject) -> Outcome:
    """Check that the database answers, takes changes, and is of a version that is supported."""
    try:
        facts = subject.facts
    except DatabaseError as error:
        if subject.settings.database_url is not None:
            raise
        reason = str(error.reason).removeprefix("DATABASE_URL: ").partition(": ")[0]
        log = subject.settings.state_dir / "postgres" / "log"
        return [
            Finding(
                f"The embedded PostgreSQL can't be used: {reason}.",
                f"See {log}, then run `{just('down')}` and `{just('up')}`.",
            )
        ]
    title = f"PostgreSQL {facts.version}, database {facts.name}"
    findings = []
    if facts.version < OLDEST_SERVER:
        findings.append(
            Finding(
                f"The server is PostgreSQL {facts.version}, and {OLDEST_SERVER} or a newer one is "
                "needed.",
                "Upgrade it, or name another server in DATABASE_URL.",
            )
        )
    if facts.read_only:
        findings.append(
            Finding(
                f"The database {facts.name} is read-only: it is a standby, or a failover is in "
                "progress.",
                "Name the primary in DATABASE_URL, or all hosts with "
                "target_session_attrs=read-write.",
            )
        )
    if facts.encoding != "UTF8":
        findings.append(
            Finding(
                f"The encoding of the database {facts.name} is {facts.encoding}, which can't hold "
                "every text.",
                "Create a database with ENCODING 'UTF8', and name it in DATABASE_URL.",
            )
        )
    return findings or f"{title}, answers and takes changes"


def check_clients(subject: Subject) -> Outcome:
    """Check that there are client programs for this server, for `just backup`."""
    if subject.place is Place.CONTAINERS and subject.settings.database_url is None:
        raise NothingToCheckError("the container of PostgreSQL has its own")
    if subject.settings.database_url is None:
        return f"{clients.newest().version}, of {clients.newest().folder}"
    found = clients.for_dump(subject.facts.version)
    return f"{found.version}, of {found.folder}, fit the server"


def check_migrations(subject: Subject) -> Outcome:
    """Check that the schema is that of this build."""
    facts = subject.facts
    title = f"database {facts.name}"
    known, heads = known_revisions()
    current = set(facts.revisions)
    if not current:
        setting = subject.settings.database_setting
        Database(title, facts.version, [], facts.objects, setting=setting).require_own("")
    found, wanted = (", ".join(sorted(each)) or "nothing" for each in (current, heads))
    if unknown := sorted(current - known):
        return [
            Finding(
                f"The schema of the {title} is at {', '.join(unknown)}, a migration that this "
                "build does not have: a newer build has migrated it, or another project.",
                "Update this folder (`git pull`), restore the file of that migration, or correct "
                "DATABASE_URL.",
            )
        ]
    if len(heads) > 1:
        return [
            Finding(
                f"The newest migrations are {' and '.join(sorted(heads))}, side by side.",
                'Join them: `.venv/bin/alembic merge heads --message "Merge."`',
            )
        ]
    if not heads <= current:
        return [
            Finding(
                f"The schema of the {title} is at {found}, and this build needs {wanted}: until "
                "then the service is not ready.",
                f"Run `{just('migrate')}`.",
            )
        ]
    return f"the schema is at {found}, as this build needs"


def check_connections(subject: Subject) -> Outcome:
    """Check that the server allows as many connections as the replicas may open."""
    facts, size = subject.facts, subject.settings.database_pool_size
    replicas = 1
    if subject.place is Place.CONTAINERS:
        replicas = max(1, sum(one["Service"] == "api" for one in containers.listed()))
    each = sum(pool_sizes(size).values())
    needed = each * replicas + MAINTENANCE_CONNECTIONS
    said = (
        f"{'a replica opens' if replicas == 1 else f'{replicas} replicas open {each} each,'} up to "
        f"{each * replicas} connections (DATABASE_POOL_SIZE={size})"
    )
    free = {
        "max_connections": facts.limits["max_connections"] - facts.reserved,
        "CONNECTION LIMIT of the role": facts.limits["role"],
        "CONNECTION LIMIT of the database": facts.limits["database"],
    }
    least = sum(pool_sizes(1).values()) * replicas + MAINTENANCE_CONNECTIONS
    # A negative one is none.
    findings = [
        Finding(
            f"The service needs {needed} connections: {said}, and maintenance one. The server "
            f"allows {allowed}, by {name}.",
            f"Raise {name} at the server, or lower DATABASE_POOL_SIZE."
            if allowed >= least
            else f"Raise {name} at the server by at least {least - allowed}.",
        )
        for name, allowed in free.items()
        if 0 <= allowed < needed
    ]
    return findings or f"{said}; the server allows {free['max_connections']}"


def check_clock(subject: Subject) -> Outcome:
    """Compare the clock of this machine with that of the database."""
    subject.facts  # noqa: B018  # If the database can't be reached, another check says so.
    before = time.time()
    now = float(subject.query(NOW))
    after = time.time()
    ahead = before - now if now < before else min(after - now, 0.0)
    if abs(ahead) > CLOCK_SECONDS:
        return [
            Finding(
                f"The clock of this machine is {abs(ahead):.0f} s "
                f"{'ahead of' if ahead > 0 else 'behind'} that of the database's server.",
                "Correct the one that is wrong: `timedatectl set-ntp true` turns on its "
                "synchronisation.",
            )
        ]
    return "this machine and the database's server agree"
