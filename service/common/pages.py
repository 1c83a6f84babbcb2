"""Pages of a collection: what a client asked for, and what it gets."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from service.common.cursors import Cursor, Value, decode_cursor, encode_cursor, scope_of
from service.common.ordering import Order
from service.common.serializers import Serializable


@dataclass(frozen=True, slots=True)
class Page:
    """Some records as plain values, and the cursors of the pages around them."""

    records: list[dict[str, Any]]
    next: str | None = None
    previous: str | None = None
    is_first: bool = True
    total: int | None = None

    def links(self) -> Iterator[tuple[str, str | None]]:
        """Yield relations (RFC 8288) and cursors; the first page has none."""
        if self.next:
            yield "next", self.next
        if self.previous:
            yield "prev", self.previous
        if not self.is_first:
            yield "first", None


@dataclass(frozen=True, slots=True)
class Selection:
    """Which records of a collection, in which order, how many, and which of their fields."""

    order: Order
    filters: Mapping[str, str]
    fields: Collection[str]
    limit: int
    after: Cursor | None = None

    @property
    def way(self) -> Order:
        """The order to read in: for a page before a cursor, the other way round."""
        backward = self.after is not None and self.after.backward
        return tuple(key.reversed() for key in self.order) if backward else self.order

    @property
    def beyond(self) -> tuple[Value, ...] | None:
        """The keys of the record behind which the page begins, on this way."""
        return None if self.after is None else self.after.values

    @property
    def columns(self) -> set[str]:
        """The columns to read: the fields, and the keys that cursors are made of."""
        return {*self.fields, *(key.name for key in self.order)}

    def page(self, found: Sequence[Serializable], total: int | None = None) -> Page:
        """Return the page of records that were found on the `way`, one more than `limit` if any."""
        rows, is_more = found[: self.limit], len(found) > self.limit
        backward = self.after is not None and self.after.backward
        if backward:
            rows = rows[::-1]
        return Page(
            [row.to_dict(only=self.fields) for row in rows],
            next=self._cursor(rows[-1:], backward=False) if backward or is_more else None,
            previous=self._cursor(rows[:1], backward=True)
            if (is_more if backward else self.after)
            else None,
            is_first=self.after is None,
            total=total,
        )

    def _cursor(self, rows: Sequence[Serializable], *, backward: bool) -> str | None:
        """Return the cursor at a record; none where there is no record."""
        scope = scope_of(self.order, self.filters)
        for row in rows:
            values = tuple(getattr(row, key.name) for key in self.order)
            return encode_cursor(Cursor(values, backward), scope)
        return None


def read_cursor(
    text: str | None, order: Order, filters: Mapping[str, str], types: Mapping[str, type[Value]]
) -> Cursor | None:
    """Return the cursor that a client sent, if any; `types` are those of the columns.

    Raises InvalidAPIRequest (422): it was not given out under this order and these filters.
    """
    if text is None:
        return None
    return decode_cursor(text, scope_of(order, filters), [types[key.name] for key in order])
