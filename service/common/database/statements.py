"""The time of statements, by operation and table: for the metrics, and for observed requests."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from time import monotonic
from typing import Any

from sqlalchemy import event
from sqlalchemy.engine import Connection, ExceptionContext
from sqlalchemy.ext.asyncio import AsyncEngine

from service.common.database.waits import waiting_for
from service.common.database.work_pool import (
    COMMIT,
    began_at,
    class_of,
    failure_of,
    forget_commit,
)
from service.metrics import DATABASE_ERRORS, STATEMENT_DURATION
from service.observed import OBSERVED, Statement, note_statement

# What a statement writes to, or else what it first reads from. Names in SQL are those of the code.
TARGET = re.compile(
    r"\b(?:(INSERT) INTO|(DELETE) FROM|(?<!FOR )(?<!KEY )(?<!DO )(UPDATE)) \"?(\w+)"
)
SOURCE = re.compile(r"\bFROM\s+\"?(\w+)\b(?!\()")
# Statements whose labels are remembered: clients can cause many distinct ones.
STATEMENTS = 500


def measure_statements(engine: AsyncEngine) -> None:
    """Observe the time of each statement."""
    event.listen(engine.sync_engine, "after_cursor_execute", _end_statement)


def _end_statement(connection: Connection, cursor: Any, statement: str, *_: Any) -> None:
    del cursor
    _histogram(statement).observe(monotonic() - began_at(connection))


@lru_cache(STATEMENTS)
def _histogram(statement: str) -> Any:
    return STATEMENT_DURATION.labels(*labels_of(statement))


@contextmanager
def measured_copy(table: str) -> Iterator[None]:
    """Observe the time of a COPY, which bypasses SQLAlchemy, or count its failure."""
    since = monotonic()
    try:
        with waiting_for("COPY"):
            yield
    except BaseException as error:
        DATABASE_ERRORS.labels(class_of(error)).inc()
        raise
    STATEMENT_DURATION.labels("COPY", table).observe(monotonic() - since)


def observe_statements(engine: AsyncEngine) -> None:
    """Note each statement and commit for the requests that it belongs to."""
    pool: Any = engine.pool

    def succeed(connection: Connection, cursor: Any, statement: str, *_: Any) -> None:
        del cursor
        if OBSERVED.get():
            note_statement(Statement(*labels_of(statement), pool.name, began_at(connection)))

    def fail(context: ExceptionContext) -> None:
        connection = context.connection
        if connection is None or connection.invalidated or not OBSERVED.get():
            return
        since = began_at(connection)
        failure = failure_of(context.original_exception, is_disconnect=context.is_disconnect)
        if context.statement:
            labels = labels_of(context.statement)
            note_statement(Statement(*labels, pool.name, since, failure))
        elif forget_commit(connection):
            note_statement(Statement("COMMIT", "", pool.name, since, failure))

    def release(connection: Any, record: Any) -> None:
        del connection
        awaited, since = record.record_info.pop("awaited", ("", 0))
        if awaited == COMMIT:
            note_statement(Statement("COMMIT", "", pool.name, since))

    event.listen(engine.sync_engine, "after_cursor_execute", succeed)
    event.listen(engine.sync_engine, "handle_error", fail)
    # There is no event for the end of a commit, but it releases the connection.
    event.listen(engine.sync_engine, "checkin", release)


@lru_cache(STATEMENTS)
def labels_of(statement: str) -> tuple[str, str]:
    """Return the operation of a statement, and its first table; empty if it has none."""
    if target := TARGET.search(statement):
        *operations, table = target.groups()
        return next(filter(None, operations)), table
    source = SOURCE.search(statement)
    operation = "SELECT" if statement.lstrip().startswith(("SELECT", "WITH")) else "OTHER"
    return operation, source[1] if source else ""
