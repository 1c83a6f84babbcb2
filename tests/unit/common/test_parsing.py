"""Bytes of clients to values: what readers of JSON disagree about is refused."""

from typing import Any

import pytest

from service import limits
from service.common.contract.parsing import parse_json, parse_query, text_faults
from service.common.errors.exceptions import Fault, InvalidAPIRequest

MALFORMED = {
    "empty": b"",
    "blank": b" \r\n\t ",
    "cut off": b'{"a": 1',
    "single quotes": b"{'a': 1}",
    "trailing comma": b'{"a": 1,}',
    "second value": b"{} {}",
    "comment": b"{} // no",
    "bare word": b"hello",
    "leading zero": b"007",
    "unicode digit": "٣".encode(),
    "raw control character": b'{"a": "\x00"}',
    "bad escape": b'{"a": "\\x41"}',
    "byte order mark": b"\xef\xbb\xbf{}",
    "UTF-16": '{"a": 1}'.encode("utf-16"),
    "UTF-16 without a mark": '{"a": 1}'.encode("utf-16-le"),
    "invalid UTF-8 in a value": b'{"a": "\xff"}',
    "invalid UTF-8 in a name": b'{"\xc3\x28": 1}',
    "overlong UTF-8": b'{"a": "\xc0\xaf"}',
    "surrogate in UTF-8": b'{"a": "\xed\xa0\x80"}',
    "NaN": b'{"a": NaN}',
    "Infinity": b'{"a": Infinity}',
    "-Infinity": b'{"a": -Infinity}',
    "overflow": b'{"a": 1e400}',
    "negative overflow": b'{"a": -1e400}',
    "overflow with a fraction": b'{"a": [1.5e309]}',
    "integer of 5000 digits": b'{"a": ' + b"1" * 5000 + b"}",
    "duplicate": b'{"a": 1, "a": 1}',
    "duplicate at depth": b'{"a": [{"b": {"c": 1, "c": 2}}]}',
    "duplicate by an escape": b'{"a": 1, "\\u0061": 2}',
    "nesting of 65 lists": b"[" * 65 + b"]" * 65,
    "nesting of 65 objects": b'{"a":' * 65 + b"1" + b"}" * 65,
    "nesting of 65 in turn": b"[" + b'{"a":[' * 32 + b"]}" * 32 + b"]",
    "nesting of 100 000": b"[" * 100_000 + b"]" * 100_000,
    "nesting of 100 000 that never closes": b"[" * 100_000,
}


@pytest.mark.parametrize("body", MALFORMED.values(), ids=MALFORMED.keys())
def test_malformed_json_is_a_400_with_a_sentence(body: bytes) -> None:
    with pytest.raises(InvalidAPIRequest) as caught:
        parse_json(body)

    assert caught.value.code == 400
    assert caught.value.message.startswith("The request body ")
    assert caught.value.message.endswith(".")
    assert len(caught.value.message) < 250
    assert caught.value.faults == ()
    caught.value.message.encode()


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (b"", "The request body is empty: send a JSON value."),
        (b'{"a": "\xff"}', "The request body is not UTF-8: byte 7 is invalid."),
        (b"[NaN]", "The request body is not valid JSON: NaN is not JSON."),
        (b"[-Infinity]", "The request body is not valid JSON: -Infinity is not JSON."),
        (b"1e400", "The request body is not valid JSON: the number '1e400' is out of range."),
        (b'{"a":1,"a":2}', "The request body is not valid JSON: the property 'a' is duplicated."),
        (b"[" * 65 + b"]" * 65, "The request body nests deeper than 64."),
        (b"[" * 4000, "The request body nests deeper than 64."),
        (b"[" * 100_000, "The request body has more than 5000 values: send them in parts."),
    ],
)
def test_the_message_says_what_is_wrong(body: bytes, sentence: str) -> None:
    with pytest.raises(InvalidAPIRequest) as caught:
        parse_json(body)

    assert caught.value.message == sentence


def test_an_integer_of_too_many_digits_is_refused_without_advice_for_python() -> None:
    with pytest.raises(InvalidAPIRequest) as caught:
        parse_json(b"1" * 5000)

    assert "sys." not in caught.value.message


def test_a_long_duplicate_name_is_cut_in_the_sentence() -> None:
    name = b"n" * 1000

    with pytest.raises(InvalidAPIRequest) as caught:
        parse_json(b'{"%s": 1, "%s": 2}' % (name, name))

    assert f"'{'n' * 80}…'" in caught.value.message
    assert "n" * 81 not in caught.value.message


def test_a_duplicate_name_with_a_lone_surrogate_is_reported() -> None:
    with pytest.raises(InvalidAPIRequest) as caught:
        parse_json(b'{"\\ud800": 1, "\\ud800": 2}')

    assert "'\N{REPLACEMENT CHARACTER}'" in caught.value.message


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b"{}", {}),
        (b" \r\n\t[1, 2] \n", [1, 2]),
        (b'"text"', "text"),
        (b"null", None),
        (b"true", True),
        (b"-0", 0),
        (b"1.5e3", 1500.0),
        (b"1e-400", 0.0),
        (b"1e308", 1e308),
        ('{"ключ": "日本 🐘"}'.encode(), {"ключ": "日本 🐘"}),
        (b'{"a": "\\ud83d\\udc18"}', {"a": "🐘"}),
        (b'{"a": {"a": [{"a": 1}, {"a": 2}]}}', {"a": {"a": [{"a": 1}, {"a": 2}]}}),
        (b'{"a": 1, "A": 2}', {"a": 1, "A": 2}),
        (b"1" * 100, int("1" * 100)),
        (b'["' + b"[" * 200 + b'"]', ["[" * 200]),
        (b"[" + b"[]," * 200 + b"[]]", [[]] * 201),
    ],
)
def test_well_formed_json_is_read_as_it_is(body: bytes, value: object) -> None:
    parsed = parse_json(body)

    assert parsed == value
    assert type(parsed) is type(value)


@pytest.mark.parametrize(
    ("opening", "closing"), [(b"[", b"]"), (b'{"a":', b"}")], ids=["lists", "objects"]
)
def test_a_nesting_of_64_is_accepted(opening: bytes, closing: bytes) -> None:
    innermost = b"" if opening == b"[" else b"1"

    value = parse_json(opening * 64 + innermost + closing * 64)

    depth = 0
    while isinstance(value, list | dict):
        depth += 1
        value = next(iter(value.values() if isinstance(value, dict) else value), None)
    assert depth == 64


@pytest.mark.limit("JSON_VALUES")
def test_a_body_of_the_most_values_is_read() -> None:
    # The list is a value too.
    most = limits.JSON_VALUES.value - 1

    assert parse_json(b"[%b]" % b",".join([b"1"] * most)) == [1] * most
    with pytest.raises(InvalidAPIRequest, match="more than 5000 values"):
        parse_json(b"[%b]" % b",".join([b"1"] * (most + 1)))


TYPES = {
    "limit": "integer",
    "ratio": "number",
    "open": "boolean",
    "only": "array",
    "q": "string",
}


@pytest.mark.parametrize(
    ("query", "values"),
    [
        (b"", {}),
        (b"&&", {}),
        (b"q=a", {"q": "a"}),
        (b"q=a&limit=5", {"q": "a", "limit": 5}),
        (b"&q=a&", {"q": "a"}),
        (b"q", {"q": ""}),
        (b"q=", {"q": ""}),
        (b"=a", {"": "a"}),
        (b"q=a=b", {"q": "a=b"}),
        (b"q=a+b", {"q": "a b"}),
        (b"q=a%2Bb", {"q": "a+b"}),
        (b"q=a%26b%3Dc", {"q": "a&b=c"}),
        (b"%71=%C3%A4", {"q": "ä"}),
        (b"q=\xc3\xa4", {"q": "ä"}),
        (b"q=%zz", {"q": "%zz"}),
        (b"q=a;limit=5", {"q": "a;limit=5"}),
        (b"q=%00", {"q": "\x00"}),
        (b"Q=a&q=b", {"Q": "a", "q": "b"}),
        (b"q=7", {"q": "7"}),
        (b"other=7", {"other": "7"}),
    ],
)
def test_a_query_string_is_read_as_a_form_is(query: bytes, values: dict[str, Any]) -> None:
    assert parse_query(query, TYPES) == (values, [])


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", 0),
        ("50", 50),
        ("-5", -5),
        ("007", 7),
        ("000000001", 1),
        ("999999999", 999_999_999),
        ("123456789012345678", 123456789012345678),
    ],
)
def test_an_integer_is_read_from_ascii_digits(text: str, value: int) -> None:
    values, faults = parse_query(f"limit={text}".encode(), TYPES)

    assert (values, faults) == ({"limit": value}, [])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "%2B5",
        "+5",
        "5+",
        "--5",
        "5.0",
        "1e3",
        "0x10",
        "1_000",
        "0000000001",
        "1234567890123456789",
        "12345678901234567890",
        "9" * 5000,
        "٣",
        "\N{FULLWIDTH DIGIT FIVE}",
        "²",
        "5%0A",
        "5%00",
        "true",
        "null",
    ],
)
def test_a_text_that_is_not_an_integer_is_left_to_the_schema(text: str) -> None:
    values, faults = parse_query(f"limit={text}".encode(), TYPES)

    assert isinstance(values["limit"], str)
    assert faults == []


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", 0.0),
        ("-1.5", -1.5),
        ("0.25", 0.25),
        ("1e5", 100000.0),
        ("1.5E-7", 1.5e-7),
        *(
            (text, text)
            for text in ("1e999", "1e5000", "nan", "inf", "-Infinity", ".5", "5.", "01.5", "")
        ),
    ],
)
def test_a_number_has_digits_a_fraction_and_an_exponent(text: str, value: object) -> None:
    values, _ = parse_query(f"ratio={text}".encode(), TYPES)

    assert values == {"ratio": value}
    assert type(values["ratio"]) is type(value)


@pytest.mark.parametrize(
    ("text", "value"),
    [("true", True), ("false", False), ("True", "True"), ("1", "1"), ("", ""), ("yes", "yes")],
)
def test_a_boolean_is_true_or_false_to_the_letter(text: str, value: object) -> None:
    values, _ = parse_query(f"open={text}".encode(), TYPES)

    assert values["open"] is value or values["open"] == value
    assert type(values["open"]) is type(value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("id", ["id"]),
        ("id,name", ["id", "name"]),
        ("id%2Cname", ["id", "name"]),
        ("id,,name", ["id", "", "name"]),
        (",id,", ["", "id", ""]),
        ("id,+name", ["id", " name"]),
        ("", [""]),
    ],
)
def test_a_list_has_commas_between_its_items(text: str, value: list[str]) -> None:
    assert parse_query(f"only={text}".encode(), TYPES) == ({"only": value}, [])


@pytest.mark.parametrize("query", [b"q=1&q=2", b"q=1&q=1", b"q&limit=1&%71=2"])
def test_a_repeated_parameter_is_a_fault(query: bytes) -> None:
    _, faults = parse_query(query, TYPES)

    assert faults == [Fault("/q", "maxItems", "'q' is given more than once")]


def test_a_repeated_parameters_pointer_is_escaped_and_its_name_cut() -> None:
    _, faults = parse_query(b"a/~b=1&a/~b=2&" + b"n" * 200 + b"&" + b"n" * 200, {})

    assert faults[0] == Fault("/a~1~0b", "maxItems", "'a/~b' is given more than once")
    assert faults[1].message == f"'{'n' * 80}…' is given more than once"


@pytest.mark.parametrize(
    "query", [b"q=%ff", b"%ff=q", b"q=\xff", b"q=%C3%28", b"q=%ED%A0%80", b"q=%C0%80", b"q=%C3"]
)
def test_a_query_string_that_is_no_utf_8_is_a_fault(query: bytes) -> None:
    values, faults = parse_query(query, TYPES)

    assert values == {}
    assert faults == [Fault("", "format", "The query string is not UTF-8")]


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("plain 🐘", []),
        ({"a": [1, None, True, 1.5, "b"]}, []),
        ("a\x00b", [("", "U+0000")]),
        ({"name": "\x00"}, [("/name", "U+0000")]),
        ({"name": "\ud800"}, [("/name", "U+D800")]),
        ({"name": "\udfff tail"}, [("/name", "U+DFFF")]),
        ({"a": {"b": [0, "\x00"]}}, [("/a/b/1", "U+0000")]),
        ({"a\x00": 1}, [("", "U+0000")]),
        ({"list": [{"\udc00": 1}]}, [("/list/0", "U+DC00")]),
        ({"a\x00": "\ud800"}, [("", "U+0000"), ("/a\ufffd", "U+D800")]),
        ({"~/": "\x00"}, [("/~0~1", "U+0000")]),
        (["\x00", "b", "\x00"], [("/0", "U+0000"), ("/2", "U+0000")]),
    ],
)
def test_a_text_that_postgresql_cant_store_is_a_fault_at_its_place(
    value: object, found: list[tuple[str, str]]
) -> None:
    faults = text_faults(value)

    assert sorted((fault.pointer, fault.message) for fault in faults) == sorted(
        (pointer, f"The character {code} can't be stored") for pointer, code in found
    )
    assert {fault.keyword for fault in faults} <= {"pattern"}
    for fault in faults:
        fault.pointer.encode()


def test_at_most_100_texts_are_reported() -> None:
    assert len(text_faults(["\x00"] * 1000)) == 100


@pytest.mark.parametrize(
    "value", [7, 10**30, 1.5, None, True, [10**30, "a"], "\\u0000", ["\\ud800"]]
)
def test_a_similar_text_is_not_matched(value: object) -> None:
    assert text_faults(value) == []


def test_a_list_in_a_query_string_has_at_most_100_items() -> None:
    _, none = parse_query(b"only=" + b"," * 99, TYPES)
    _, faults = parse_query(b"only=" + b"," * 100, TYPES)

    assert none == []
    assert faults == [Fault("/only", "maxItems", "'only' has more than 100 items")]


@pytest.mark.parametrize("query", [b"q&" * 1000, b"%ff&" * 1000])
def test_at_most_100_faults_of_a_query_string_are_reported(query: bytes) -> None:
    _, faults = parse_query(query, TYPES)

    assert len(faults) == 100
