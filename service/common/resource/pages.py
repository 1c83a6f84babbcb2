"""Pages of a collection: the client's selection and the resulting page."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from service.common.database import Costed
from service.common.resource.cursors import (
    Cursor,
    Filters,
    decode_cursor,
    encode_cursor,
    scope_of,
)
from service.common.resource.ordering import Order
from service.common.resource.values import Value

# The filter that is a part of a text.
PART = "q"


@dataclass(frozen=True, slots=True)
class Page:
    """The JSON of some records, and the cursors of the pages around them."""

    records: bytes
    next: str | None = None
    previous: str | None = None
    is_first: bool = True
    total: int | None = None

    @property
    def is_empty(self) -> bool:
        """Whether the page has no record."""
        return self.records == b"[]"

    def links(self) -> Iterator[tuple[str, str | None]]:
        """Yield relations (RFC 8288) and cursors; the first page has none."""
        if self.next:
            yield "next", self.next
        if self.previous:
            yield "prev", self.previous
        if not self.is_first:
            yield "first", None


@dataclass(frozen=True, slots=True)
class Selection(Costed):
    """The records of a collection to return, their order, number, fields and included records."""

    order: Order
    filters: Filters
    fields: tuple[str, ...]
    limit: int | None
    after: Cursor | None = None
    include: tuple[str, ...] = ()
    # Whether it is more than a quarter of the longest page.
    is_long: bool = False

    @property
    def wanted(self) -> int | None:
        """How many records to read: one more than the page has shows whether another follows."""
        return None if self.limit is None else self.limit + 1

    @property
    def backward(self) -> bool:
        """Whether the page is before its cursor."""
        return self.after is not None and self.after.backward

    @property
    def read_order(self) -> Order:
        """The order to read in: reversed for a page before a cursor."""
        return tuple(key.reversed() for key in self.order) if self.backward else self.order

    @property
    def kind(self) -> tuple[object, ...]:
        """The key of selections of similar cost: order, filters, included records, place, length.

        Cursors and searches are not told apart: a client could send another one each time. Another
        value of a filter is slow only if its own records are. A long page may be slow for its
        length alone, or because it waits in PostgreSQL until this process has read its beginning.
        """
        filters = tuple((name, None if name == PART else value) for name, value in self.filters)
        return self.read_order, filters, self.include, self.after is None, self.is_long

    @property
    def start(self) -> tuple[Value, ...] | None:
        """The keys of the record after which the page begins, in the order of `read_order`."""
        return None if self.after is None else self.after.values

    def without_values(self) -> "Selection":
        """Return the selection for what depends on no value of a filter or cursor, and no limit."""
        filters = tuple((name, None) for name, _ in self.filters)
        return replace(self, filters=filters, after=None, limit=None, is_long=False)

    def page(self, found: Sequence[Any]) -> Page:
        """Return the page of rows in `read_order`, one more than `limit` if there are more.

        Each row has the record as `json`, and the keys of the order.
        """
        rows = found[: self.limit]
        is_more = len(rows) < len(found)
        if self.backward:
            rows = rows[::-1]
        is_first = self.after is None
        has_next, has_previous = (True, is_more) if self.backward else (is_more, not is_first)
        return Page(
            b"[%s]" % b",".join([row.json for row in rows]),
            next=self._cursor(rows[-1], backward=False) if rows and has_next else None,
            previous=self._cursor(rows[0], backward=True) if rows and has_previous else None,
            is_first=is_first,
        )

    def _cursor(self, row: Any, *, backward: bool) -> str:
        """Return the cursor at a record."""
        values = tuple(getattr(row, key.name) for key in self.order)
        return encode_cursor(Cursor(values, backward), scope_of(self.order, self.filters))


def read_cursor(
    text: str | None, order: Order, filters: Filters, model: type[Any]
) -> Cursor | None:
    """Return the cursor that a client sent, if any.

    Raises InvalidAPIRequest (422) if it was not created with this order and these filters.
    """
    if text is None:
        return None
    columns = model.__table__.columns
    return decode_cursor(text, scope_of(order, filters), [columns[key.name] for key in order])
