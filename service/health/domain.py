"""Readiness of the service."""

from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic
from weakref import WeakKeyDictionary

from service.common.database import Session, known_revisions
from service.common.errors import DatabaseError, Unavailable
from service.health import backend
from service.metrics import DATABASE_REVISION, IS_READY

# How long the answer of the database holds: load balancers, supervisors and people ask often.
CACHE_SECONDS = 1
# When the revisions of the database were read, and the revisions; an application has one session.
_recent: WeakKeyDictionary[Session, tuple[float, frozenset[str]]] = WeakKeyDictionary()


async def check_ready(session: Session, *, draining: bool) -> dict[str, str]:
    """Return the checks if the service can serve requests; raise the error of the first that fails.

    It can if the database accepts writes and its schema is not older than this build. A revision
    that this build does not know counts as newer: replicas of the old build stay ready while a
    deployment migrates. Raises Unavailable or DatabaseError.
    """
    passed: dict[str, str] = {}
    with _check("drain", passed):
        if draining:
            raise Unavailable("The service is draining: it is about to stop.")
    with _check("database", passed):
        current = await _revisions(session)
    with _check("migrations", passed):
        known, heads = known_revisions()
        if not (heads <= current or current - known):
            found = ", ".join(sorted(current)) or "nothing"
            raise DatabaseError(
                f"The database schema is at {found}, this build needs {', '.join(sorted(heads))}: "
                "run `just migrate`."
            )
    return passed


@contextmanager
def _check(name: str, passed: dict[str, str]) -> Iterator[None]:
    """Show in the metrics, and in `passed`, whether a check passes."""
    try:
        yield
    except BaseException:
        # Also if the client gives up while the database does not answer.
        IS_READY.labels(name).set(0)
        raise
    IS_READY.labels(name).set(1)
    passed[name] = "pass"


async def _revisions(session: Session) -> frozenset[str]:
    """Return the revisions of the schema, at most CACHE_SECONDS old; failures are not cached."""
    read_at, found = _recent.get(session, (0.0, frozenset()))
    if monotonic() - read_at > CACHE_SECONDS or not found:
        before, found = found, await backend.select_revisions(session)
        _recent[session] = monotonic(), found
        if found != before:
            DATABASE_REVISION.clear()
            for revision in found:
                DATABASE_REVISION.labels(revision).set(1)
    return found
