"""Bytes to lines, as they come: none is kept longer than it has to be."""

import codecs
from collections.abc import Iterator

Line = tuple[int, bytes | None]


class Splitter:
    """Cuts bytes at each line feed, and numbers the lines from 1. Drops a byte order mark.

    A line of more than `limit` bytes is yielded as None, and its text is dropped.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._number = 0
        # Grown in place: a long line may come in very small pieces.
        self._rest = bytearray()
        self._too_long = False

    def feed(self, data: bytes) -> Iterator[Line]:
        """Yield the lines that end in `data`."""
        *ended, rest = data.split(b"\n")
        for text in ended:
            self._keep(text)
            yield self._line()
        self._keep(rest)

    def close(self) -> Iterator[Line]:
        """Yield the last line, where no line feed ends it."""
        if self._rest or self._too_long:
            yield self._line()

    def _keep(self, text: bytes) -> None:
        if self._too_long or len(self._rest) + len(text) > self._limit:
            self._rest.clear()
            self._too_long = True
        else:
            self._rest += text

    def _line(self) -> Line:
        self._number += 1
        text = None if self._too_long else bytes(self._rest)
        if text and self._number == 1:
            text = text.removeprefix(codecs.BOM_UTF8)
        self._rest.clear()
        self._too_long = False
        return self._number, text
