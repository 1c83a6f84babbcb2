"""The requests that are observed: they are in a trace, or their clients ask for `Server-Timing`.

A statement, and a wait for a connection, is noted for the request that it belongs to, and a shared
statement for every request that shares it.
"""

from collections.abc import Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from time import monotonic
from typing import NamedTuple, Protocol


class Statement(NamedTuple):
    """A statement that has ended; `since` is a time of `monotonic`, a success has no `failure`."""

    operation: str
    table: str
    pool: str
    since: float
    failure: str = ""


class Span(Protocol):
    """A request in a trace."""

    def add_wait(self, pool: str, seconds: float, calls: int) -> None:
        """Add a wait for a connection, or for a statement that `calls` requests share."""

    def add_statement(self, statement: Statement, sharing: "Sequence[Span]") -> None:
        """Add a statement that these spans share, of which this one is the first."""


@dataclass(slots=True, eq=False)
class Observed:
    """A request: its span, if it is in a trace, and the seconds that it has waited."""

    span: Span | None = None
    pool_seconds: float = 0
    database_seconds: float = 0


# Those of the current task: a shared statement has a task of its own.
OBSERVED: ContextVar[tuple[Observed, ...]] = ContextVar("OBSERVED", default=())


def note_wait(requests: Sequence[Observed], pool: str, seconds: float, calls: int = 1) -> None:
    """Note that these requests waited until a statement could be sent."""
    for request in requests:
        request.pool_seconds += seconds
        if request.span is not None:
            request.span.add_wait(pool, seconds, calls)


def note_statement(statement: Statement) -> None:
    """Note that a statement of the current task has ended."""
    requests = OBSERVED.get()
    seconds = monotonic() - statement.since
    for request in requests:
        request.database_seconds += seconds
    if spans := [request.span for request in requests if request.span is not None]:
        spans[0].add_statement(statement, spans)
