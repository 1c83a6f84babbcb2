"""The metrics of statements: their time, by operation and table."""

import re
from functools import lru_cache
from time import monotonic
from typing import Any

from sqlalchemy import event
from sqlalchemy.engine import Connection
from sqlalchemy.ext.asyncio import AsyncEngine

from service.common.database.work_pool import began_at
from service.metrics import STATEMENT_SECONDS

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
    return STATEMENT_SECONDS.labels(*labels_of(statement))


def labels_of(statement: str) -> tuple[str, str]:
    """Return the operation of a statement, and its first table; empty if it has none."""
    if target := TARGET.search(statement):
        *operations, table = target.groups()
        return next(filter(None, operations)), table
    source = SOURCE.search(statement)
    operation = "SELECT" if statement.lstrip().startswith(("SELECT", "WITH")) else "OTHER"
    return operation, source[1] if source else ""
