"""Kinds of statements: those that are expected to cost the same, and which of them are costly."""

from collections.abc import Hashable
from time import monotonic
from typing import Any

from service.client import CLIENT

# The execution option of statements that cost about the same, such as with other fields.
ALIKE = "alike"
# How long statements of a kind count as costly after one of them took too long.
COSTLY_SECONDS = 5


class CostlyKinds:
    """The kinds of statements of which one took too long within the last seconds."""

    def __init__(self) -> None:
        # The time until which a kind is costly.
        self._until: dict[Hashable, float] = {}

    def __contains__(self, kind: Hashable) -> bool:
        return self._until.get(kind, 0) > monotonic() if self._until else False

    def add(self, kind: Hashable) -> None:
        """Remember a kind for some seconds; None is not remembered."""
        now = monotonic()
        for expired in [one for one, until in self._until.items() if until <= now]:
            del self._until[expired]
        if kind is not None:
            self._until[kind] = now + COSTLY_SECONDS


def similar(statement: Any) -> Hashable:
    """Return a key of statements of the same client that are expected to cost the same.

    Reads are those with the same execution option `alike`, or the same statement; writes are the
    same operation on the same table.
    """
    if getattr(statement, "is_dml", False):
        return CLIENT.get(), (type(statement), statement.table)
    return CLIENT.get(), statement.get_execution_options().get(ALIKE, statement)
