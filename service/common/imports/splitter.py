"""Bytes to lines, as they come: none is kept longer than it has to be."""

from collections.abc import Iterator

Line = tuple[int, bytes | None]


class Splitter:
    """Cuts bytes at each line feed, and numbers the lines from 1.

    A line of more than `limit` bytes is yielded as None, and its text is dropped.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._rest = b""
        self._number = 0
        self._too_long = False

    def feed(self, data: bytes) -> Iterator[Line]:
        """Yield the lines that end in `data`."""
        *whole, self._rest = (self._rest + data).split(b"\n")
        for text in whole:
            yield self._line(text)
        if len(self._rest) > self._limit:
            self._rest, self._too_long = b"", True

    def close(self) -> Iterator[Line]:
        """Yield the last line, where no line feed ends it."""
        if self._rest or self._too_long:
            yield self._line(self._rest)

    def _line(self, text: bytes) -> Line:
        self._number += 1
        too_long = self._too_long or len(text) > self._limit
        self._too_long = False
        return self._number, None if too_long else text
