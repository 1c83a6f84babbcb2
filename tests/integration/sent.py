"""The statements that an application sends."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from sqlalchemy import event

from service.common.database.database import Work
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
    sent: list[Statement] = []

    def note(work: Work, *facts: Any) -> None:
        sent.append(Statement(facts[2], facts[3], work))

    listeners = [
        (one.sync_engine, partial(note, work))
        for work, one in vars(app.database)["_alone_engines"].items()
    ]
    for engine, listener in listeners:
        event.listen(engine, "before_cursor_execute", listener)
    try:
        yield sent
    finally:
        for engine, listener in listeners:
            event.remove(engine, "before_cursor_execute", listener)
    assert sent, "No statement was seen."
