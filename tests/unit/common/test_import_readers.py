"""Files of lines, cut anywhere."""

import csv
import io
import json
import re
import tracemalloc
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from service import limits
from service.common.bulk.csv_reader import CsvReader, grammar_fault
from service.common.bulk.ndjson import NdjsonReader
from service.common.bulk.splitter import Splitter
from service.common.errors.exceptions import Fault, InvalidAPIRequest
from tests.blueprints.item.payloads import CreateItem

# Each line has content.
ANY = re.compile(rb"(?s:.)")
LIMIT = 1000
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
RECORDS = st.lists(st.fixed_dictionaries({"name": TEXTS, "email": TEXTS}), max_size=5)


def pieces(data: bytes, cuts: list[int]) -> Iterator[bytes]:
    """Yield the data, cut at some places."""
    places = sorted({cut % (len(data) + 1) for cut in cuts})
    for start, end in zip([0, *places], [*places, len(data)], strict=True):
        yield data[start:end]


def read(reader: Any, data: bytes, cuts: list[int]) -> list[Any]:
    found = [one for piece in pieces(data, cuts) for one in reader.feed(piece)]
    return [*found, *reader.close()]


@given(RECORDS, st.lists(st.integers(0, 2000), max_size=9), st.sampled_from(["\r\n", "\n"]))
def test_csv_is_read_as_it_was_written(
    records: list[dict[str, str]], cuts: list[int], end: str
) -> None:
    file = io.StringIO(newline="")
    writer = csv.DictWriter(file, ["name", "email"], lineterminator=end, quoting=csv.QUOTE_ALL)
    writer.writeheader()
    writer.writerows(records)
    found = read(CsvReader(LIMIT, CreateItem), file.getvalue().encode(), cuts)

    assert [value for _, value, faults in found if not faults] == records
    # The line on which a record begins, as an editor counts: by line feeds.
    starts, line = [], 2
    for record in records:
        starts.append(line)
        line += 1 + "".join(record.values()).count("\n")
    assert [number for number, _, _ in found] == starts


@given(RECORDS, st.lists(st.integers(0, 2000), max_size=9))
def test_ndjson_is_read_as_it_was_written(records: list[dict[str, str]], cuts: list[int]) -> None:
    data = "\n".join(json.dumps(record, ensure_ascii=False) for record in records).encode()
    found = read(NdjsonReader(LIMIT), data, cuts)

    assert found == [(number, record, []) for number, record in enumerate(records, 1)]


@given(st.binary(max_size=300), st.lists(st.integers(0, 300), max_size=9))
def test_any_bytes_are_cut_at_their_line_feeds(data: bytes, cuts: list[int]) -> None:
    found = read(Splitter(LIMIT, ANY), data, cuts)

    assert [text for _, text in found] == data.removesuffix(b"\n").split(b"\n") * bool(data)
    assert [number for number, _ in found] == [*range(1, len(found) + 1)]


@given(st.binary(max_size=300), st.lists(st.integers(0, 300), max_size=9))
def test_any_bytes_are_valid_csv_or_a_fault(data: bytes, cuts: list[int]) -> None:
    found = read(CsvReader(LIMIT, CreateItem), b"name,email\r\n" + data, cuts)

    for number, value, faults in found:
        assert number >= 2
        assert faults or isinstance(value, dict)


@pytest.mark.parametrize("length", [LIMIT - 1, LIMIT, LIMIT + 1, 3 * LIMIT])
def test_a_line_is_kept_up_to_the_limit(length: int) -> None:
    data = b"x" * length + b"\nnext\n" + b"y" * length
    for step in (1, 7, 4 * LIMIT):
        found = read(Splitter(LIMIT, ANY), data, [*range(0, len(data), step)])
        kept = length <= LIMIT

        assert found == [
            (1, b"x" * length if kept else None),
            (2, b"next"),
            (3, b"y" * length if kept else None),
        ]


@pytest.mark.limit("CSV_FIELDS")
@pytest.mark.parametrize("field", ['""', "a", '"a"', '"a,b"'])
def test_a_record_in_csv_has_at_most_so_many_fields(field: str) -> None:
    most = limits.CSV_FIELDS.value

    def faults(count: int) -> list[Any]:
        record = ",".join([field] * count)
        text = f"name,email\n{record}\nAda,ada@example.org\n".encode()
        return [found for _, _, found in read(CsvReader(10**6, CreateItem), text, [])]

    beyond, good = faults(most + 1)
    assert beyond == [Fault("", "maxItems", f"More than {most} fields")]
    assert beyond not in faults(most)
    assert good == []
    with pytest.raises(InvalidAPIRequest, match=f"More than {most} fields"):
        read(CsvReader(10**6, CreateItem), b"name,email" + b"," * (most - 1), [])


@pytest.mark.parametrize("field", [b"ab", b'"a"', b"", b'""'])
def test_the_fields_of_a_record_with_too_many_are_never_made(field: bytes) -> None:
    data = b'"a"' + (b"," + field) * 50_000 + b"\n"
    reader = CsvReader(len(data), CreateItem)
    assert [*reader.feed(b"name,email\n")] == []
    tracemalloc.start()
    try:
        [(_, _, [fault])] = reader.feed(data)
    finally:
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()

    assert fault.keyword == "maxItems"
    assert peak < 6 * len(data)


@pytest.mark.parametrize(
    ("record", "mark"),
    [
        (b'"ab"c,a@b.co', "quotation mark"),
        (b'ab"c",a@b.co', "quotation mark"),
        (b'"ab" ,a@b.co', "quotation mark"),
        (b"a\rb,a@b.co", "carriage return"),
        (b'"ab",a@b.co\rc', "carriage return"),
        (b"ab,a@b.co\r\r", "carriage return"),
        (b'"ab",a@b.co\r\r', "carriage return"),
        (b"\r\r", "carriage return"),
    ],
)
def test_the_fault_of_a_record_that_is_not_csv_has_its_cause(record: bytes, mark: str) -> None:
    text = b"name,email\n" + record + b"\nAda,ada@example.org\n"
    (_, value, faults), good = read(CsvReader(LIMIT, CreateItem), text, [])

    assert value is None
    assert faults == [
        Fault("", "format", f"Not valid CSV (RFC 4180): a {mark} is not allowed here")
    ]
    assert good == (3, {"name": "Ada", "email": "ada@example.org"}, [])


@given(st.text(',\n\r"ab', max_size=60))
def test_python_reads_each_record_that_the_grammar_allows(text: str) -> None:
    record = f'"a",{text}'
    if grammar_fault(record.encode()) is None:
        [cells] = csv.reader([record], strict=True)

        assert cells[0] == "a"


def test_a_line_of_carriage_returns_names_no_fields() -> None:
    with pytest.raises(InvalidAPIRequest, match="a carriage return is not allowed here"):
        read(CsvReader(LIMIT, CreateItem), b"\r\r\nname,email\n", [])


@pytest.mark.parametrize("blank", [b"\n", b"\r\n", b" \t\n", b"\r \n"])
def test_blank_lines_of_ndjson_are_passed_over_many_at_once(blank: bytes) -> None:
    record = b'{"name":"ab","email":"a@b.co"}\n'
    data = blank * 5000 + record + blank * 5000 + record
    reader = NdjsonReader(LIMIT)
    looked_at = count_lines(reader)
    found = [*reader.feed(data), *reader.close()]

    assert [number for number, _, _ in found] == [5001, 10_002]
    assert looked_at() == 2


@pytest.mark.parametrize("blank", [b"\n", b"\r\n", b",\n", b",,,,\r\n"])
def test_blank_lines_of_csv_are_passed_over_many_at_once(blank: bytes) -> None:
    data = blank * 5000 + b"name,email\n" + blank * 5000 + b'ab,"a@b.co"\n' + blank * 5000
    reader = CsvReader(LIMIT, CreateItem)
    looked_at = count_lines(reader)
    found = [*reader.feed(data), *reader.close()]

    assert found == [(10_002, {"name": "ab", "email": "a@b.co"}, [])]
    assert looked_at() == 2


@example("\n,a", [])  # An empty field after a blank line.
@given(st.text(' ,\n\r"ab', max_size=60), st.lists(st.integers(0, 60), max_size=9))
def test_ignored_lines_do_not_depend_on_how_the_data_are_split(text: str, cuts: list[int]) -> None:
    data = text.encode()
    for reader in (NdjsonReader, lambda limit: CsvReader(limit, CreateItem)):
        head = b"name,email\n" if reader is not NdjsonReader else b""
        whole = read(reader(LIMIT), head + data, [])

        assert read(reader(LIMIT), head + data, cuts) == whole
        assert read(reader(LIMIT), head + data, [*range(len(head + data))]) == whole


def test_a_record_of_csv_with_very_many_lines_takes_no_more_than_its_bytes() -> None:
    limit = 1 << 17
    reader = CsvReader(limit, CreateItem)
    assert [*reader.feed(b'name,email\n"')] == []
    tracemalloc.start()
    try:
        for _ in range(40):
            assert [*reader.feed(b"ab\n" * 1000)] == []
    finally:
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()

    assert peak < 2 * limit


def test_lines_of_a_text_of_csv_are_taken_many_at_once() -> None:
    text = b"ab\n" * 300 + b"\n" * 300
    reader = CsvReader(LIMIT * 10, CreateItem)
    looked_at = count_lines(reader)
    found = [*reader.feed(b'name,email\n"' + text + b'",a@b.co\n\nab,a@b.co\n')]

    assert [(number, value) for number, value, _ in found] == [
        (2, {"name": text.decode(), "email": "a@b.co"}),
        (604, {"name": "ab", "email": "a@b.co"}),
    ]
    assert looked_at() == 5


def test_a_text_of_csv_may_end_at_the_end_of_a_piece() -> None:
    reader = CsvReader(LIMIT, CreateItem)
    pieces = [b'name,email\n"a\nb"', b",a@b.co\nab,a@b.co\ncd,c@d.co\n"]
    found = [one for piece in pieces for one in reader.feed(piece)]

    assert found == [
        (2, {"name": "a\nb", "email": "a@b.co"}, []),
        (4, {"name": "ab", "email": "a@b.co"}, []),
        (5, {"name": "cd", "email": "c@d.co"}, []),
    ]


def count_lines(reader: Any) -> Callable[[], int]:
    """Count the lines that a reader inspects."""
    lines, count = reader._lines, 0
    line = lines._line

    def counted() -> Any:
        nonlocal count
        count += 1
        return line()

    lines._line = counted
    return lambda: count
