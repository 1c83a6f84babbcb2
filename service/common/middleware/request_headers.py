"""The headers of a request, found by an index: the middleware looks for some twenty of them.

werkzeug compares each name in turn, and raises an exception for each that is not there.
"""

from collections.abc import Iterable
from typing import Any

from werkzeug.datastructures import Headers
from werkzeug.datastructures.mixins import ImmutableHeadersMixin


class RequestHeaders(ImmutableHeadersMixin, Headers):  # type: ignore[misc]  # As werkzeug's own.
    """werkzeug's headers, which nobody changes.

    `Remote-Addr` comes first, as in Quart's, which knows the client's address by it: one that the
    client sends itself is never the first.
    """

    def __init__(self, pairs: Iterable[tuple[bytes, bytes]] = (), client: str = "") -> None:
        super().__init__()
        self._list = [(name.decode("latin1"), value.decode("latin1")) for name, value in pairs]
        self._list.insert(0, ("Remote-Addr", client))
        self._index: dict[str, list[str]] = {}
        for name, value in self._list:
            self._index.setdefault(name.lower(), []).append(value)

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
        """Return every value, in their order."""
        if type is not None:
            return super().getlist(key, type)
        return [*self._index.get(key.lower(), ())]
