"""CSV (RFC 4180) in UTF-8, with the names of the fields in the first line.

A line feed alone ends a line too. What spreadsheets add is ignored: a byte order mark, lines of
only commas, and empty fields after the last name.
"""

import csv
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace

from service import limits
from service.common.bulk.ndjson import ReadRecord
from service.common.bulk.splitter import Line, Splitter
from service.common.contract import Payload, convert, json_types, parse_json, text_faults
from service.common.errors import Fault, InvalidAPIRequest, pointer, quote

MAX_FIELDS = limits.CSV_FIELDS.value
TEXT = frozenset({"string"})
# The keywords of a schema that concern the names of properties.
OF_NAMES = frozenset({"required", "additionalProperties"})
# A byte that a line of only commas does not have.
CONTENT = re.compile(rb"[^,\r\n]|\r(?!\n)")
# The grammar of a record with at most MAX_FIELDS fields, and of one whose last field is continued
# in the next line. Without backtracking, so that a long line takes linear time.
QUOTED = rb'"[^"]*+(?:""[^"]*+)*+'
FIELD = rb"(?:" + QUOTED + rb'"|[^",\r\n]*+)'
RECORD = re.compile(FIELD + rb"(?:," + FIELD + rb"){0,%d}+" % (MAX_FIELDS - 1))
OPEN = re.compile(rb"(?:" + FIELD + rb",)*+" + QUOTED)
# What spreadsheets write instead of a comma, by language or settings.
OTHER_SEPARATOR = re.compile("[;\t|]")
NOT_CSV = "Not valid CSV (RFC 4180): a {} is not allowed here"
TOO_MANY_FIELDS = f"More than {MAX_FIELDS} fields"


def grammar_fault(record: bytes) -> tuple[str, str] | None:
    """Return keyword and message of a fault in the grammar of a record, without splitting it.

    The fields would take memory before they could be counted.
    """
    # It matches the beginning of any record, at least an empty field.
    rest = RECORD.sub(b"", record, count=1)
    if rest in {b"", b"\r"}:
        return None
    if rest.startswith(b","):
        return "maxItems", TOO_MANY_FIELDS
    mark = "carriage return" if rest.startswith(b"\r") else "quotation mark"
    return "format", NOT_CSV.format(mark)


class CsvReader:
    """Reads bytes, as they arrive, to values with their line numbers and faults.

    `model` has the fields; those in `ignored` are accepted and ignored. A fault in the names of the
    fields raises InvalidAPIRequest (422), because nothing can be read then.
    """

    content = CONTENT

    def __init__(self, limit: int, model: type[Payload], ignored: Collection[str] = ()) -> None:
        # Python's default limit is smaller, and global.
        csv.field_size_limit(max(limit, csv.field_size_limit()))
        self._limit = limit
        self._lines = Splitter(limit, CONTENT)
        self._model = model
        self._ignored = ignored
        self._names: list[str] = []
        # The JSON types of the fields that are not only strings.
        self._types: dict[str, frozenset[str]] = {}
        # The text of an incomplete record, and the number of its first line. Extended in place,
        # because a record may have very many lines.
        self._begun = bytearray()
        self._start = 1

    def feed(self, data: bytes) -> Iterator[ReadRecord]:
        """Yield the records that `data` completes."""
        return self._read(self._lines.feed(data))

    def close(self) -> Iterator[ReadRecord]:
        """Yield the last record."""
        yield from self._read(self._lines.close())
        if self._begun:
            yield self._faulty("format", "A quotation mark is not closed")
        elif not self._names:
            self._faulty("minItems", "The line with the names of the fields is missing")

    def _read(self, lines: Iterable[Line]) -> Iterator[ReadRecord]:
        for number, text in lines:
            if not self._begun:
                if text is not None and not text.removesuffix(b"\r").strip(b","):
                    continue
                self._start = number
            if text is None or len(self._begun) + len(text) >= self._limit:
                self._begun.clear()
                yield self._faulty("maxLength", f"The line is longer than {self._limit} bytes")
            elif not self._goes_on(text):
                record = bytes(self._begun) + text
                self._begun.clear()
                yield from self._record(record)
            else:
                self._begun += text + b"\n"
            self._lines.quoted = bool(self._begun)

    def _goes_on(self, text: bytes) -> bool:
        """Return whether a quoted field continues after this line."""
        odd = text.count(b'"') % 2 == 1
        return not odd if self._begun else odd and OPEN.fullmatch(text) is not None

    def _record(self, record: bytes) -> Iterator[ReadRecord]:
        if found := grammar_fault(record):
            yield self._faulty(*found)
            return
        try:
            cells = next(csv.reader([record.decode()], strict=True))
        except UnicodeDecodeError as error:
            yield self._faulty("format", f"Byte {error.start} is not UTF-8")
        else:
            count = len(self._names)
            if not count:
                self._read_names(cells)
            elif len(cells) >= count and not any(cells[count:]):
                value, faults = self._convert(dict(zip(self._names, cells, strict=False)))
                # A JSON text in a cell may escape what can't be stored.
                if b"\0" in record or b"\\u" in record:
                    faults += text_faults(value)
                yield self._start, value, faults
            else:
                keyword = "minItems" if len(cells) < count else "maxItems"
                sentence = f"The line has {len(cells)} fields, the first line has {count}"
                yield self._faulty(keyword, sentence)

    def _read_names(self, cells: list[str]) -> None:
        while len(cells) > 1 and not cells[-1]:
            cells.pop()
        if len(cells) == 1 and (found := OTHER_SEPARATOR.search(cells[0])):
            name = "a tab" if found[0] == "\t" else f"`{found[0]}`"
            self._faulty("format", f"The fields are separated by {name}: separate them by commas")
        [(name, count)] = Counter(cells).most_common(1)
        if count > 1:
            self._faulty("uniqueItems", f"The name {quote(name)} is duplicated")
        schema = self._model.contract()
        faults = schema.faults({name: None for name in cells if name not in self._ignored})
        if wrong := [fault for fault in faults if fault.keyword in OF_NAMES]:
            raise self._refuse(*wrong)
        self._names = cells
        properties = schema.document["properties"]
        types = {name: json_types(properties[name]) for name in cells if name in properties}
        self._types = {name: types[name] for name in types if types[name] != TEXT}

    def _convert(self, cells: dict[str, str]) -> tuple[dict[str, object], list[Fault]]:
        value: dict[str, object] = {**cells}
        faults = []
        for name, types in self._types.items():
            try:
                value[name] = _value(cells[name], types)
            except InvalidAPIRequest as error:
                faults.append(Fault(pointer([name]), "format", error.message.rstrip(".")))
        return value, faults

    def _faulty(self, keyword: str, sentence: str) -> ReadRecord:
        """Return a record with a fault; raise the fault if the names are not known yet."""
        fault = Fault("", keyword, sentence)
        if not self._names:
            raise self._refuse(fault)
        return self._start, None, [fault]

    def _refuse(self, *faults: Fault) -> InvalidAPIRequest:
        found = [replace(fault, line=self._start) for fault in faults]
        return InvalidAPIRequest(status_code=422, faults=found)


def _value(text: str, types: frozenset[str]) -> object:
    """Return the value of a cell: null if it is empty and may be null, JSON if it has many types.

    A text that is not of its only type stays a text, which the schema rejects. Raises
    InvalidAPIRequest (400) if it is not JSON.
    """
    if not text and "null" in types:
        return None
    some = types - {"null"}
    if len(some) > 1:
        return parse_json(text.encode(), "The field")
    [type_] = some
    return convert(text, type_)
