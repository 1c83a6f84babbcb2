"""When the service is ready."""

from service.common.database import Session, known_revisions
from service.common.errors import DatabaseError, Unavailable
from service.health import backend


async def check_ready(session: Session, *, draining: bool) -> str:
    """Return `ready`: the database takes changes, and its schema is at this build's head or newer.

    A revision that this build does not know is newer: replicas of the old build stay ready
    while a deployment migrates. Raises Unavailable or DatabaseError.
    """
    if draining:
        raise Unavailable("The service is draining: it is about to stop.")
    current = await backend.select_revisions(session)
    known, heads = known_revisions()
    if not (heads <= current or current - known):
        found = ", ".join(sorted(current)) or "nothing"
        raise DatabaseError(
            f"The database's schema is at {found}, this build needs {', '.join(sorted(heads))}: "
            "run `just migrate`."
        )
    return "ready"
