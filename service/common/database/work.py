"""The kinds of work, each with connections of its own: their sizes and their sessions."""

from collections.abc import Mapping
from enum import StrEnum

from service import limits

BULK_CONNECTIONS = limits.BULK_TRANSFERS.value
# How long a single statement waits for a lock on a connection that others need.
LOCK_WAIT = "10ms"


class Work(StrEnum):
    """The kinds of work, each with connections of its own."""

    # By id: requests share the statements, so that none waits long.
    READS = "reads"
    # Of collections, which few requests share.
    PAGES = "pages"
    # Separate from other reads, because their cost is only estimated.
    SEARCHES = "searches"
    # Single statements that don't wait for locks.
    WRITES = "writes"
    # Several statements each, which may wait for locks of other transactions.
    TRANSACTIONS = "transactions"
    # Single statements that are repeated to wait for a lock of another transaction.
    BLOCKED = "blocked writes"
    # Reads whose cost grows with the table, single writes that are repeated because they took long,
    # and for some seconds the client's similar writes.
    COSTLY = "costly statements"
    # `/readyz`.
    HEALTH = "health"
    # Imports and exports.
    BULK = "bulk"
    # Exports that read or sort many records before the first line.
    COSTLY_EXPORTS = "costly exports"


# No parallel workers: they would take processor time from cheap requests.
SESSION_SETTINGS = {"max_parallel_workers_per_gather": "0"}
# Kinds with longer statements; their time-out is that of progress.
TRANSFERS = frozenset({Work.BULK, Work.COSTLY_EXPORTS})
# Kinds whose sessions requests hold: while they wait for a connection they don't count as in
# progress. Those that wait for a result of `Autocommit` do so inside `BatchConnections.waiting`.
SUSPENDED_IN_POOL = TRANSFERS | {Work.TRANSACTIONS, Work.BLOCKED}
# Kinds whose statements may take seconds: a client has at most a share of the connections.
LONG = TRANSFERS | {Work.COSTLY}
# Reads that are repeated as costly ones if they take long.
CHEAP = frozenset({Work.READS, Work.PAGES, Work.SEARCHES})
# Kinds whose first connection is opened before the service is ready: nearly every request is of one
# of these, and on a busy machine opening a connection may take longer than a request waits for one.
OPENED_FIRST = (Work.READS, Work.PAGES, Work.WRITES, Work.TRANSACTIONS)
LOCK_TIMEOUTS = {
    Work.WRITES: LOCK_WAIT,
    Work.TRANSACTIONS: f"{limits.LOCK_SECONDS.value}s",
    Work.BLOCKED: f"{limits.LOCK_SECONDS.value}s",
    Work.COSTLY: f"{limits.LOCK_SECONDS.value}s",
}


def pool_sizes(connections: int) -> dict[Work, int]:
    """Divide the connections of a process among the kinds of work, at least one for each.

    Pages, health checks, imports and exports have theirs in addition.
    """
    fifth = max(1, connections // 5)
    tenth = max(1, connections // 10)
    return {
        Work.READS: max(1, connections - 3 * fifth - 2 * tenth),
        Work.PAGES: fifth,
        Work.SEARCHES: tenth,
        Work.WRITES: fifth,
        Work.TRANSACTIONS: fifth,
        Work.BLOCKED: tenth,
        Work.COSTLY: fifth,
        Work.HEALTH: 1,
        Work.BULK: BULK_CONNECTIONS,
        Work.COSTLY_EXPORTS: limits.COSTLY_EXPORTS.value,
    }


def session_settings(work: Work) -> Mapping[str, str]:
    """Return the settings of a session of PostgreSQL for a kind of work."""
    lock_timeout = {"lock_timeout": LOCK_TIMEOUTS[work]} if work in LOCK_TIMEOUTS else {}
    return SESSION_SETTINGS | lock_timeout
