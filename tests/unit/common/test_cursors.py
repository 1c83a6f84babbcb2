"""Cursors: only what was given out, under the same order and filters, is taken back."""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Date,
    DateTime,
    Double,
    Integer,
    Numeric,
    Text,
    Uuid,
)
from sqlalchemy.types import TypeEngine

from service.common.contract.validation import load_schemas
from service.common.errors.exceptions import InvalidAPIRequest
from service.common.resource.cursors import Cursor, decode_cursor, encode_cursor, scope_of
from service.common.resource.ordering import Key
from service.common.resource.values import Value
from tests.blueprints.aside import SCHEMAS

MAX_BIGINT = 2**63 - 1
SCOPE = scope_of((Key("id"),), ())
NAME = "é\U0001f600" * 100
WHEN = datetime(2026, 1, 2, 3, 4, 5, 678901, UTC)

# PostgreSQL's texts have neither NUL nor surrogates.
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=254)
VALUES = st.one_of(
    st.integers(-MAX_BIGINT - 1, MAX_BIGINT),
    TEXTS,
    st.datetimes(timezones=st.just(UTC)),
    st.dates(),
    st.decimals(-(10**20), 10**20, allow_nan=False, places=3),
    st.floats(allow_nan=False, allow_infinity=False),
    st.booleans(),
    st.uuids(),
    st.none(),
)
TYPES: dict[type, TypeEngine[Any]] = {
    int: BigInteger(),
    str: Text(),
    datetime: DateTime(timezone=True),
    date: Date(),
    Decimal: Numeric(30, 3),
    float: Double(),
    bool: Boolean(),
    UUID: Uuid(),
    type(None): Text(),
}


def column_of(type_: type, *, nullable: bool = False) -> Column[Any]:
    return Column("key", TYPES[type_], nullable=nullable)


@example(values=[Decimal("0E-10"), Decimal("1E-10"), Decimal("-1E-7")], backward=False)
@given(values=st.lists(VALUES, min_size=1, max_size=5), backward=st.booleans())
def test_a_cursor_comes_back_as_it_was_given_out(values: list[Value], backward: bool) -> None:
    cursor = Cursor(tuple(values), backward)
    text = encode_cursor(cursor, SCOPE)

    columns = [column_of(type(value), nullable=value is None) for value in values]
    decoded = decode_cursor(text, SCOPE, columns)

    assert decoded == cursor
    assert [type(value) for value in decoded.values] == [type(value) for value in values]


@pytest.mark.parametrize(
    "values",
    [
        (0,),
        (MAX_BIGINT,),
        (NAME, 254 * "x", MAX_BIGINT),
        (WHEN, 1),
        # JSON has six bytes for each of these characters.
        (200 * "\x01", 254 * "\x1f", WHEN, WHEN, -MAX_BIGINT),
    ],
)
def test_a_cursor_stands_in_a_url_as_it_is_and_fits_its_schema(values: tuple[Value, ...]) -> None:
    text = encode_cursor(Cursor(values), SCOPE)

    assert load_schemas(SCHEMAS)["item/list_item.json"].faults({"after": text}) == []


def encode(value: object) -> str:
    raw = value if isinstance(value, bytes) else json.dumps(value, separators=(",", ":")).encode()
    return urlsafe_b64encode(raw).decode().rstrip("=")


# Its length asks for a padding.
CURSOR = encode_cursor(Cursor((100,)), SCOPE)
MALFORMED = {
    "empty": "",
    "padded": CURSOR + "=" * (-len(CURSOR) % 4),
    "a padding too much": CURSOR + "=",
    "space before": " " + CURSOR,
    "line break behind": CURSOR + "\n",
    "one character more": CURSOR + "A",
    "one character less": CURSOR[:-1],
    "other last bits": CURSOR[:-1] + chr(ord(CURSOR[-1]) + 1),
    "base64's own letters": CURSOR.replace("-", "+").replace("_", "/") + "+/",
    "not ASCII": "é" * 8,
    "not base64": "!!!!",
    "not UTF-8": encode(b"\xff\xfe"),
    "not JSON": encode(b"nonsense"),
    "no list": encode({"id": 1}),
    "nested": encode(b"[" * 100_000),
    "too short": encode([SCOPE, [1]]),
    "too long": encode([SCOPE, [1], 0, 0]),
    "no values": encode([SCOPE, [], 0]),
    "too many values": encode([SCOPE, [1, 2], 0]),
    "values of no list": encode([SCOPE, 1, 0]),
    "null": encode([SCOPE, [None], 0]),
    "a float": encode([SCOPE, [1.0], 0]),
    "a boolean": encode([SCOPE, [True], 0]),
    "a text": encode([SCOPE, ["1"], 0]),
    "beyond bigint": encode([SCOPE, [MAX_BIGINT + 1], 0]),
    "another direction": encode([SCOPE, [1], 2]),
    "a direction in words": encode([SCOPE, [1], "0"]),
    "spaces": encode(json.dumps([SCOPE, [1], 0]).encode()),
    "no scope": encode(["", [1], 0]),
    "another scope": encode(["0" * 16, [1], 0]),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_whatever_was_not_given_out_is_a_422(name: str) -> None:
    with pytest.raises(InvalidAPIRequest) as caught:
        decode_cursor(MALFORMED[name], SCOPE, [column_of(int)])

    assert caught.value.code == 422
    assert [fault.pointer for fault in caught.value.faults] == ["/after"]


@pytest.mark.parametrize(
    ("value", "type_"),
    [
        ("2026-01-02T03:04:05Z", datetime),
        ("2026-01-02T03:04:05.678Z", datetime),
        ("2026-01-02 03:04:05.678901Z", datetime),
        ("2026-02-30T03:04:05.678901Z", datetime),
        (1, datetime),
        ("\x00", str),
        ("\ud800", str),
        (1, str),
        (2**31, Integer()),
        (-(2**31) - 1, Integer()),
        (1, float),
        (1, bool),
        ("NaN", Decimal),
        ("1e5", Decimal),
        (1.5, Decimal),
        ("2026-02-30", date),
        ("{6F9619FF-8B86-D011-B42D-00C04FC964FF}", UUID),
    ],
)
def test_a_value_of_another_form_is_a_422(value: object, type_: Any) -> None:
    column = column_of(type_) if isinstance(type_, type) else Column("key", type_, nullable=False)
    with pytest.raises(InvalidAPIRequest):
        decode_cursor(encode([SCOPE, [value], 0]), SCOPE, [column])


def test_each_order_and_each_filter_has_a_scope_of_its_own() -> None:
    scopes = [
        scope_of((Key("id"),), ()),
        scope_of((Key("id", descending=True),), ()),
        scope_of((Key("name"), Key("id")), ()),
        scope_of((Key("id"), Key("name")), ()),
        scope_of((Key("id"),), (("q", "a"),)),
        scope_of((Key("id"),), (("name", "a"),)),
        scope_of((Key("id"),), (("name", "a"), ("q", "a"))),
    ]

    assert len(set(scopes)) == len(scopes)
    assert scope_of((Key("id"),), (("q", "b"), ("name", "a"))) == scope_of(
        (Key("id"),), (("name", "a"), ("q", "b"))
    )


def test_a_cursor_says_nothing_that_its_page_does_not() -> None:
    [scope, values, backward] = json.loads(urlsafe_b64decode(CURSOR + "=" * (-len(CURSOR) % 4)))

    assert (scope, values, backward) == (SCOPE, [100], 0)


@pytest.mark.parametrize(
    "equal",
    [
        [Decimal("77.5"), Decimal("77.50"), Decimal("7.75E+1")],
        [Decimal(0), Decimal("0.00"), Decimal("-0"), Decimal("0E-10")],
        [Decimal(100), Decimal("1E+2"), Decimal("100.0")],
        [0.0, -0.0],
    ],
    ids=str,
)
def test_equal_filters_share_their_cursors(equal: list[Value]) -> None:
    assert len({scope_of((Key("id"),), (("price", value),)) for value in equal}) == 1


def test_texts_that_look_like_equal_numbers_are_other_filters() -> None:
    texts = ["0", "-0", "0.0"]

    assert len({scope_of((Key("id"),), (("name", text),)) for text in texts}) == len(texts)
