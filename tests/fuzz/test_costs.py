"""The search for inputs that are expensive to parse, in its short form: counts work, not time."""

from collections.abc import Iterator

import pytest

from tests.fuzz.costs import Cost, Parser, parsers, search

SIZE = 4096
EXAMPLES = 12
NAMES = [
    *("CSV", "JSON", "NDJSON", "Preconditions", "Preferences"),
    *("cursor", "headers", "names of CSV", "query"),
]


@pytest.fixture(scope="module")
def known() -> Iterator[dict[str, Parser]]:
    with parsers() as found:
        yield found


def test_every_parser_is_searched(known: dict[str, Parser]) -> None:
    assert sorted(known) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_no_input_costs_more_than_its_size_allows(known: dict[str, Parser], name: str) -> None:
    dearest = search(known[name], SIZE, EXAMPLES)

    assert dearest.steps[0] <= 1, dearest
    assert dearest.allocated[0] <= 1, dearest


def test_the_search_finds_quadratic_costs() -> None:
    def read(data: bytes) -> None:
        for _ in range(data.count(b"a") ** 2):
            pass

    parser = Parser(read, (b"a", b"b"), Cost(1000, 10_000), Cost(10, 10))

    assert search(parser, 64, EXAMPLES).steps[0] > 1


def test_the_search_finds_high_memory_use() -> None:
    def read(data: bytes) -> None:
        data.split(b"a")

    parser = Parser(read, (b"a", b"b"), Cost(1000, 10_000), Cost(1, 4))

    assert search(parser, SIZE, EXAMPLES).allocated[0] > 1
