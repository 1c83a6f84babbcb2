"""Kinds of statements: those that are expected to cost the same, and which of them are costly."""

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from time import monotonic
from typing import Any

from service.client import CLIENT

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


@dataclass(frozen=True, slots=True)
class Deferred:
    """A read that is built when it has a connection, because that takes milliseconds.

    Those with the same `kind` are expected to cost the same.
    """

    build: Callable[[], Any]
    kind: Hashable


def similar(statement: Any) -> Hashable:
    """Return a key of statements of the same client that are expected to cost the same.

    Reads are those of the same kind, or the same statement; writes are the same operation on the
    same table.
    """
    if isinstance(statement, Deferred):
        return CLIENT.get(), statement.kind
    if getattr(statement, "is_dml", False):
        return CLIENT.get(), (type(statement), statement.table)
    return CLIENT.get(), statement
