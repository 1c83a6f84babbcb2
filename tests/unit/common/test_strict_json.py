"""The decoder: the size of a value, counted by brackets and commas before parsing."""

import json

import pytest

from service.common.contract.strict_json import MAX_VALUES, TOO_DEEP, TOO_MANY_VALUES, excess_of

# Texts that look as if they closed, opened or ended something.
TEXTS = [
    b'"]"',
    b'"["',
    b'"}{"',
    b'""',
    rb'"\"]"',
    rb'"]\""',
    rb'"\\"',
    rb'"\\\"]"',
    rb'"\\\\"',
    rb'"]\\"',
    rb'"\u005d]"',
    '"ä]\N{ELEPHANT}"'.encode(),
]


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("depth", [1, 32, 64, 65, 100])
@pytest.mark.parametrize(
    ("opening", "closing"),
    [(b"[%b, ", b"]"), (b'{%b: 1, "next": ', b"}"), (b'{"a": [%b], "next": ', b"}")],
    ids=["lists", "names", "values"],
)
def test_brackets_in_strings_are_not_nesting(
    text: bytes, depth: int, opening: bytes, closing: bytes
) -> None:
    body = opening % text * depth + b"[]" + closing * depth
    json.loads(body)

    assert excess_of(body) == (TOO_DEEP if depth > 63 else None)


@pytest.mark.parametrize(
    "body", [b"{}", b"1", b'"' + b"[" * 100 + b'"', b"[" + b"[], " * 99 + b"[]]"]
)
def test_many_brackets_are_no_nesting(body: bytes) -> None:
    assert excess_of(body) is None


@pytest.mark.parametrize("text", [*TEXTS, b'",,,"', rb'"\",[\""'])
@pytest.mark.parametrize("more", [0, 1])
@pytest.mark.parametrize(
    ("first", "other", "last"),
    [
        (b"[%b, 1", b", 1", b"]"),
        (b"[[%b]", b", []", b"]"),
        (b'{%b: "a"', b', "b": ""', b"}"),
        (b'{"c": %b, "d": 1', b', "e": 1.5e3', b"}"),
    ],
    ids=["numbers", "lists", "texts", "properties"],
)
def test_values_are_counted_without_the_content_of_strings(
    text: bytes, more: int, first: bytes, other: bytes, last: bytes
) -> None:
    begin = first % text
    size = first.count(b",") + first.count(b"[") + first.count(b"{") + 1
    each = other.count(b",") + other.count(b"[")
    times, rest = divmod(MAX_VALUES - size, each)
    body = begin + other * (times + more) + last
    json.loads(body)

    assert rest in {0, 1}
    assert excess_of(body) == (TOO_MANY_VALUES if more else None)


def test_texts_alone_are_counted_by_their_quotation_marks() -> None:
    assert excess_of(b'""' * (2 * MAX_VALUES) + b" ") is None
    assert excess_of(b'""' * (2 * MAX_VALUES + 1)) == TOO_MANY_VALUES


def test_a_text_of_many_quotation_marks_is_one_value() -> None:
    assert excess_of(b'"' + rb"\"" * 5 * MAX_VALUES + b'"') is None
