"""Splits bytes into lines as they arrive."""

import codecs
import re
from collections.abc import Iterator

Line = tuple[int, bytes | None]


class Splitter:
    """Splits bytes at line feeds, and numbers the lines from 1. Removes a byte order mark.

    A line of more than `limit` bytes is yielded as None, and its text is discarded. Lines without
    `content` are skipped together, unless they arrive in several pieces. While `quoted`
    is set, no line is skipped, and the lines before the next quotation mark may be yielded as one,
    with the number of the last.
    """

    def __init__(self, limit: int, content: re.Pattern[bytes]) -> None:
        self.quoted = False
        self._limit = limit
        self._content = content
        self._number = 0
        # Extended in place: a long line may arrive in very small pieces.
        self._rest = bytearray()
        self._too_long = False

    def feed(self, data: bytes) -> Iterator[Line]:
        """Yield the lines that end in `data`."""
        start = self._skip(data, 0)
        while (end := data.find(b"\n", start)) >= 0:
            # A quotation mark that has already arrived may end the quoted field in this line.
            if self.quoted and b'"' not in self._rest:
                mark = data.find(b'"', start)
                end = max(end, data.rfind(b"\n", start, len(data) if mark < 0 else mark))
                self._number += data.count(b"\n", start, end)
            self._keep(data[start:end])
            yield self._line()
            start = self._skip(data, end + 1)
        self._keep(data[start:])

    def close(self) -> Iterator[Line]:
        """Yield the last line if it has no line feed."""
        if self._rest or self._too_long:
            yield self._line()

    def _skip(self, data: bytes, start: int) -> int:
        """Return the start of the first line, from `start` on, that may have content."""
        if self._rest or self._too_long or self.quoted:
            return start
        found = self._content.search(data, start)
        end = data.rfind(b"\n", start, len(data) if found is None else found.start())
        if end < 0:
            return start
        self._number += data.count(b"\n", start, end + 1)
        return end + 1

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
