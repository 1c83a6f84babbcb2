"""Readiness of the service."""

from service.common.database import Session, known_revisions
from service.common.errors import DatabaseError, Unavailable
from service.health import backend


async def check_ready(session: Session, *, draining: bool) -> str:
    """Return `ready` if the database accepts writes and its schema is not older than this build.

    A revision that this build does not know counts as newer: replicas of the old build stay ready
    while a deployment migrates. Raises Unavailable or DatabaseError.
    """
    if draining:
        raise Unavailable("The service is draining: it is about to stop.")
    current = await backend.select_revisions(session)
    known, heads = known_revisions()
    if not (heads <= current or current - known):
        found = ", ".join(sorted(current)) or "nothing"
        raise DatabaseError(
            f"The database schema is at {found}, this build needs {', '.join(sorted(heads))}: "
            "run `just migrate`."
        )
    return "ready"
