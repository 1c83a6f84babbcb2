"""The translation of database errors for clients."""

from collections.abc import Callable
from functools import partial
from traceback import walk_tb

import asyncpg
from sqlalchemy.dialects.postgresql.asyncpg import AsyncAdapt_asyncpg_dbapi
from sqlalchemy.exc import DBAPIError, InterfaceError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from service.common.database.work_pool import ShareError
from service.common.errors import (
    SHARE,
    Conflict,
    DatabaseError,
    DeadlineExceeded,
    InvalidAPIRequest,
    JSONException,
    RecordAlreadyExists,
    Unavailable,
)

CONFLICT = "The change conflicts with another record."
VIOLATED_REFERENCE = (
    "The change violates a reference: other records refer to this one, or it refers to a record"
    " that does not exist."
)
DATABASE_UNAVAILABLE = "The database is not available: try again soon."
READ_ONLY_STATE = "25006"
READ_ONLY = "The database is read-only at the moment: try again soon."
UNDEFINED_TABLE = "42P01"
LOCKED_STATE = "55P03"  # lock_not_available
CANCELLED_STATE = "57014"  # query_canceled
CONCURRENT_STATES = ("40001", "40P01")  # serialization_failure, deadlock_detected
# idle_in_transaction_session_timeout, transaction_timeout
ENDED_STATES = ("25P03", "25P04")
# foreign_key_violation; since PostgreSQL 18 restrict_violation, if it is `ON DELETE RESTRICT`.
REFERENCE_STATES = ("23503", "23001")
AGAIN = "Try again after the time in `Retry-After`."
LOCKED = f"Another transaction holds a lock that this change needs. {AGAIN}"
CONCURRENT = f"The change conflicts with a concurrent one. {AGAIN}"
ENDED = f"The database ended the transaction because it took too long. {AGAIN}"
MIGRATED = f"The database was migrated during the request. {AGAIN}"
SCHEMA_TOO_OLD = "The database schema is older than this build: run `just migrate`."
DATABASE_SLOW = "The database took too long to answer."
IN_USE = "All database connections for such requests are in use: try again soon."
VALUE_OUT_OF_RANGE = "A value is out of range or has a character that the database can't store."
INVALID_VALUE = partial(InvalidAPIRequest, status_code=422)
# SQLSTATE or its beginning (PostgreSQL's manual, appendix A), exception and message.
MEANINGS: tuple[tuple[str, Callable[[str], JSONException], str], ...] = (
    ("22003", INVALID_VALUE, VALUE_OUT_OF_RANGE),  # numeric_value_out_of_range
    ("22021", INVALID_VALUE, VALUE_OUT_OF_RANGE),  # character_not_in_repertoire, as NUL in a text
    *((state, Conflict, VIOLATED_REFERENCE) for state in REFERENCE_STATES),
    ("23505", RecordAlreadyExists, CONFLICT),  # unique_violation
    ("42501", DatabaseError, "The service lacks a privilege on the database."),
    ("42703", DatabaseError, SCHEMA_TOO_OLD),  # undefined_column
    (UNDEFINED_TABLE, DatabaseError, SCHEMA_TOO_OLD),
    (CANCELLED_STATE, DeadlineExceeded, DATABASE_SLOW),
    ("08", DatabaseError, DATABASE_UNAVAILABLE),  # connection_exception
    (READ_ONLY_STATE, DatabaseError, READ_ONLY),  # A standby, in a failover.
    ("53", DatabaseError, DATABASE_UNAVAILABLE),  # insufficient_resources
    # admin_shutdown, crash_shutdown, cannot_connect_now
    ("57P0", DatabaseError, DATABASE_UNAVAILABLE),
    *((state, Unavailable, ENDED) for state in ENDED_STATES),
    ("28", DatabaseError, DATABASE_UNAVAILABLE),  # invalid_authorization_specification
    ("58", DatabaseError, DATABASE_UNAVAILABLE),  # system_error
    ("40", Unavailable, CONCURRENT),  # serialization_failure, deadlock_detected
    (LOCKED_STATE, Unavailable, LOCKED),
)
# Beginnings of the SQLSTATEs of statements that changed nothing: values, constraints, concurrent
# transactions, locks and time-outs.
REFUSED_STATES = ("22", "23", "40", LOCKED_STATE, CANCELLED_STATE)


def translate(error: BaseException) -> JSONException | None:
    """Return the error for the client; None if it is not an error of the database."""
    match error:
        case PoolTimeoutError():
            is_share = isinstance(error, ShareError)
            limit = "CLIENT_SHARE" if is_share else "POOL_WAIT_SECONDS"
            return Unavailable(SHARE if is_share else IN_USE, limit=limit)
        case TimeoutError() | ConnectionError() if _is_of_driver(error):
            is_slow = isinstance(error, TimeoutError)
            return (
                DeadlineExceeded(DATABASE_SLOW) if is_slow else DatabaseError(DATABASE_UNAVAILABLE)
            )
        # The internal error: the connection was lost while the driver was reading or copying.
        case InterfaceError() | asyncpg.InterfaceError() | asyncpg.InternalClientError():
            return DatabaseError(DATABASE_UNAVAILABLE)
        case DBAPIError():
            return _by_state(error)
        # Raised by COPY, which bypasses SQLAlchemy.
        case asyncpg.PostgresError():
            return _meaning(error.sqlstate or "")
    return None


def is_stale_plan(error: BaseException) -> bool:
    """Return whether a statement failed because it was prepared before a migration."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    return isinstance(cause, AsyncAdapt_asyncpg_dbapi.InvalidCachedStatementError)


def is_locked(error: DBAPIError) -> bool:
    """Return whether a statement changed nothing because it did not get a lock in time."""
    return sqlstate_of(error) == LOCKED_STATE


def is_cancelled(error: DBAPIError) -> bool:
    """Return whether a statement was cancelled, as by `statement_timeout`."""
    return sqlstate_of(error) == CANCELLED_STATE


def is_retryable(error: BaseException) -> bool:
    """Return whether a statement changed nothing because of a concurrent transaction.

    It may succeed if it is repeated at once.
    """
    return isinstance(error, DBAPIError) and sqlstate_of(error) in CONCURRENT_STATES


def changed_nothing(error: BaseException) -> bool:
    """Return whether a statement failed without changing anything."""
    return isinstance(error, DBAPIError) and (
        is_stale_plan(error) or sqlstate_of(error).startswith(REFUSED_STATES)
    )


def constraint_of(error: DBAPIError) -> str | None:
    """Return the name of the constraint that a statement violated."""
    return getattr(getattr(error.orig, "__cause__", None), "constraint_name", None)


def table_of(error: DBAPIError) -> str | None:
    """Return the name of the table whose constraint a statement violated."""
    return getattr(getattr(error.orig, "__cause__", None), "table_name", None)


def violates_foreign_key(error: DBAPIError) -> bool:
    """Return whether a statement violated a foreign key."""
    return sqlstate_of(error) in REFERENCE_STATES


def sqlstate_of(error: DBAPIError) -> str:
    """Return the SQLSTATE of an error; empty if the server sent none."""
    return getattr(error.orig, "sqlstate", None) or ""


def _is_of_driver(error: BaseException) -> bool:
    """Return whether the driver raised the error: views may wait for other services too."""
    modules = (frame.f_globals["__name__"] for frame, _ in walk_tb(error.__traceback__))
    return any(module.startswith("asyncpg.") for module in modules)


def _by_state(error: DBAPIError) -> JSONException | None:
    if is_stale_plan(error):
        return Unavailable(MIGRATED)
    lost = DatabaseError(DATABASE_UNAVAILABLE) if error.connection_invalidated else None
    return _meaning(sqlstate_of(error)) or lost


def _meaning(state: str) -> JSONException | None:
    for beginning, meaning, sentence in MEANINGS:
        if state.startswith(beginning):
            return meaning(sentence)
    return None
