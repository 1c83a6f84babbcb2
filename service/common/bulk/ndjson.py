"""NDJSON (ndjson.org): a JSON text per line. Blank lines are ignored."""

import re
from collections.abc import Iterable, Iterator

from service.common.bulk.splitter import Line, Splitter
from service.common.contract import parse_json, text_faults
from service.common.errors import Fault, InvalidAPIRequest

ReadRecord = tuple[int, object, list[Fault]]
# A byte that a line of white space does not have.
NOT_BLANK = re.compile(rb"[^ \t\r\v\f\n]")
# The place in a message of the decoder, which sees only one line.
JSON_POSITION = re.compile(r": line 1 (column \d+) \(char \d+\)")


class NdjsonReader:
    """Reads bytes, as they arrive, to values with their line numbers and faults."""

    content = NOT_BLANK

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._lines = Splitter(limit, NOT_BLANK)

    def feed(self, data: bytes) -> Iterator[ReadRecord]:
        """Yield the records that `data` completes."""
        return self._read(self._lines.feed(data))

    def close(self) -> Iterator[ReadRecord]:
        """Yield the last record."""
        return self._read(self._lines.close())

    def _read(self, lines: Iterable[Line]) -> Iterator[ReadRecord]:
        for number, text in lines:
            if text is None:
                fault = Fault("", "maxLength", f"The line is longer than {self._limit} bytes")
                yield number, None, [fault]
            elif text and not text.isspace():
                try:
                    value = parse_json(text, "The line")
                except InvalidAPIRequest as error:
                    sentence = JSON_POSITION.sub(r", at \1", error.message).rstrip(".")
                    yield number, None, [Fault("", "format", sentence)]
                else:
                    # Only an escape sequence can contain a character that PostgreSQL can't store.
                    yield number, value, text_faults(value) if b"\\u" in text else []
