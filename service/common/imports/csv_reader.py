"""CSV as RFC 4180 has it, in UTF-8, with the names of the fields in the first line.

A line feed alone ends a line too, a byte order mark before the first is passed over, as is a line
without text.
"""

import codecs
import csv
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace

from service.common.exceptions import Fault, InvalidAPIRequest
from service.common.faults import quote
from service.common.imports.ndjson import Record
from service.common.imports.splitter import Line, Splitter
from service.common.parsing import convert, text_faults
from service.common.validation import Payload

TEXT = "string"
# The keywords of a schema that are about the names of properties.
OF_NAMES = frozenset({"required", "additionalProperties"})


class CsvReader:
    """Reads bytes, as they come, to values with the numbers of their lines and their faults.

    `model` says which fields there are, and `ignored` which others are passed over.
    """

    def __init__(self, limit: int, model: type[Payload], ignored: Collection[str] = ()) -> None:
        self._limit = limit
        self._model = model
        self._ignored = ignored
        # The JSON types of the fields that are no text.
        self._types: dict[str, str] = {}
        self._lines = Splitter(limit)
        self._names: list[str] = []
        # Lines of a record whose last quotation mark is not there yet.
        self._begun: list[bytes] = []
        self._size = 0
        self._start = 1
        self._open = False

    def feed(self, data: bytes) -> Iterator[Record]:
        """Yield what `data` completes. Raises InvalidAPIRequest (422): see `_read_names`."""
        return self._read(self._lines.feed(data))

    def close(self) -> Iterator[Record]:
        """Yield what is left. Raises InvalidAPIRequest (422): there is no first line."""
        yield from self._read(self._lines.close())
        if self._begun:
            fault = Fault("", "format", "A quotation mark is not closed")
            yield self._start, None, [fault]
        elif not self._names:
            sentence = "There is no line with the names of the fields"
            raise _refuse(Fault("", "minItems", sentence))

    def _read(self, lines: Iterable[Line]) -> Iterator[Record]:
        for number, text in lines:
            if not self._begun:
                self._start, self._size = number, 0
            # Each line takes some memory beside its text.
            self._size += 1 + len(text or b"")
            if text is None or self._size > self._limit:
                self._begun, self._open = [], False
                fault = Fault("", "maxLength", f"The line is longer than {self._limit} bytes")
                yield self._start, None, [fault]
                continue
            self._begun.append(text)
            self._open ^= bool(text.count(b'"') & 1)
            if not self._open:
                record, self._begun = b"\n".join(self._begun), []
                yield from self._record(record)

    def _record(self, record: bytes) -> Iterator[Record]:
        try:
            if self._start == 1:
                record = record.removeprefix(codecs.BOM_UTF8)
            cells = next(csv.reader([record.decode()], strict=True), [])
        except UnicodeDecodeError as error:
            yield self._start, None, [Fault("", "format", f"Byte {error.start} is not UTF-8")]
        except csv.Error as error:
            yield self._start, None, [Fault("", "format", f"Not CSV as RFC 4180 has it: {error}")]
        else:
            if not self._names:
                self._read_names(cells)
            elif len(cells) == len(self._names):
                value = dict(zip(self._names, cells, strict=True))
                faults = text_faults(value) if b"\0" in record else []
                yield self._start, self._convert(value), faults
            elif cells:
                keyword = "minItems" if len(cells) < len(self._names) else "maxItems"
                sentence = f"{len(cells)} fields, where the first line has {len(self._names)}"
                yield self._start, None, [Fault("", keyword, sentence)]

    def _read_names(self, cells: list[str]) -> None:
        """Keep the names of the fields.

        Raises InvalidAPIRequest (422): one is there twice, unknown, or missing.
        """
        [(name, count)] = Counter(cells).most_common(1) or [("", 0)]
        if count > 1:
            raise _refuse(Fault("", "uniqueItems", f"The name {quote(name)} is there twice"))
        schema = self._model.contract()
        faults = schema.faults({name: None for name in cells if name not in self._ignored})
        if wrong := [fault for fault in faults if fault.keyword in OF_NAMES]:
            raise _refuse(*wrong)
        self._names = cells
        types = {name: one["type"] for name, one in schema.document["properties"].items()}
        self._types = {name: types[name] for name in cells if types.get(name, TEXT) != TEXT}

    def _convert(self, value: dict[str, str]) -> dict[str, object]:
        others = {name: convert(value[name], self._types[name]) for name in self._types}
        return value | others


def _refuse(*faults: Fault) -> InvalidAPIRequest:
    return InvalidAPIRequest(status_code=422, faults=[replace(one, line=1) for one in faults])
