"""The statements that an application sends, and what they read."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine

from service.common.database.work import Work
from service.common.web import App


@dataclass(frozen=True)
class Statement:
    """A statement, its values, and the kind of work of its connection."""

    sql: str
    values: Any
    work: Work


@contextmanager
def statements(app: App) -> Iterator[list[Statement]]:
    """Yield the list of the statements in autocommit that the application sends meanwhile."""
    with listening(vars(app.database)["_autocommit_engines"]) as sent:
        yield sent


@contextmanager
def listening(engines: Mapping[Work, AsyncEngine]) -> Iterator[list[Statement]]:
    """Yield the list of the statements that these connections send meanwhile."""
    sent: list[Statement] = []

    def note(work: Work, *facts: Any) -> None:
        sent.append(Statement(facts[2], facts[3], work))

    listeners = [(one.sync_engine, partial(note, work)) for work, one in engines.items()]
    for engine, listener in listeners:
        event.listen(engine, "before_cursor_execute", listener)
    try:
        yield sent
    finally:
        for engine, listener in listeners:
            event.remove(engine, "before_cursor_execute", listener)
    assert sent, "No statement was seen."


async def read(engine: AsyncEngine, sent: list[Statement], table: str = "item") -> int:
    """Return how many records of a table statements read."""
    return sum([_read(await explain(engine, one), table) for one in sent])


async def explain(engine: AsyncEngine, statement: Statement, *settings: str) -> dict[str, Any]:
    """Run a statement and return its plan, with settings such as `enable_sort = off`."""
    async with engine.connect() as connection:
        for setting in settings:
            await connection.exec_driver_sql(f"SET {setting}")
        explained = f"EXPLAIN (ANALYZE, VERBOSE, FORMAT JSON) {statement.sql}"
        plan = (await connection.exec_driver_sql(explained, statement.values)).scalar_one()
    found: dict[str, Any] = (json.loads(plan) if isinstance(plan, str) else plan)[0]["Plan"]
    return found


def _read(node: dict[str, Any], table: str) -> int:
    own = 0
    if "Heap Fetches" in node:
        own = node["Heap Fetches"]  # The index alone had the others.
    elif node.get("Relation Name") == table:
        lost = sum(value for name, value in node.items() if name.startswith("Rows Removed"))
        own = round((node["Actual Rows"] + lost) * node["Actual Loops"])
    return own + sum(_read(child, table) for child in node.get("Plans", ()))
