"""The headers of a request, with an index: middleware looks up some twenty of them.

werkzeug compares each name in turn, and raises an exception for each missing one.
"""

from collections.abc import Iterable
from typing import Any

from werkzeug.datastructures import Headers
from werkzeug.datastructures.mixins import ImmutableHeadersMixin

from service import limits

HEADER_ITEMS = limits.HEADER_ITEMS.value
HEADER_LIST_BYTES = limits.HEADER_LIST_BYTES.value
# Lists of preferences, of which only the first items are kept.
PREFERENCE_LISTS = frozenset(
    {
        *("accept", "accept-charset", "accept-encoding", "accept-language"),
        *("access-control-request-headers", "prefer"),
    }
)


class RequestHeaders(ImmutableHeadersMixin, Headers):  # type: ignore[misc]  # As werkzeug's own.
    """werkzeug's headers, immutable.

    `Remote-Addr`, from which Quart takes the client's address, comes first, before one that the
    client may send.
    """

    def __init__(self, pairs: Iterable[tuple[bytes, bytes]] = (), client: str = "") -> None:
        super().__init__()
        self._list = [(name.decode("latin1"), value.decode("latin1")) for name, value in pairs]
        self._list.insert(0, ("Remote-Addr", client))
        self._index: dict[str, list[str]] = {}
        for name, value in self._list:
            self._index.setdefault(name.lower(), []).append(value)
        for name in PREFERENCE_LISTS.intersection(self._index):
            lines = self._index[name]
            # A text of at most HEADER_ITEMS characters has no more items.
            if len(lines) > 1 or len(lines[0]) > HEADER_ITEMS:
                self._keep_first_items(name)

    def _keep_first_items(self, name: str) -> None:
        """Join the lines of a list to one, and discard excess items."""
        # Several field lines are one list (RFC 9110, section 5.3).
        text = ", ".join(self._index[name])
        if len(text) <= HEADER_LIST_BYTES and text.count(",") < HEADER_ITEMS:
            return
        items = text[: HEADER_LIST_BYTES + 1].split(",")
        if len(text) > HEADER_LIST_BYTES:
            # The last item may be incomplete.
            items.pop()
        kept = ",".join(items[:HEADER_ITEMS])
        self._index[name] = [kept]
        self._list = [*(pair for pair in self._list if pair[0].lower() != name), (name, kept)]

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and key.lower() in self._index

    def get(  # type: ignore[override]  # Without its overloads.
        self, key: str, default: Any = None, type: Any = None
    ) -> Any:
        """Return the first value, or the default."""
        if type is not None:
            return super().get(key, default, type)
        found = self._index.get(key.lower())
        return found[0] if found else default

    def getlist(self, key: str, type: Any = None) -> list[Any]:
        """Return every value, in order."""
        if type is not None:
            return super().getlist(key, type)
        return [*self._index.get(key.lower(), ())]
