"""Cursors: only what was given out is taken back."""

import json
from base64 import urlsafe_b64encode

import pytest

from service.common.cursors import decode_cursor, encode_cursor
from service.common.exceptions import InvalidAPIRequest
from service.common.validation import load_schemas

MAX_BIGINT = 2**63 - 1


def encode(text: str | bytes) -> str:
    raw = text.encode() if isinstance(text, str) else text
    return urlsafe_b64encode(raw).decode().rstrip("=")


@pytest.mark.parametrize("id", [0, 1, 7, 62, 63, 10**9, MAX_BIGINT - 1, MAX_BIGINT])
def test_a_cursor_comes_back_as_the_id_that_it_was_made_of(id: int) -> None:
    assert decode_cursor(encode_cursor(id)) == id


@pytest.mark.parametrize("id", [0, 7, MAX_BIGINT])
def test_a_cursor_stands_in_a_url_as_it_is_and_fits_its_schema(id: int) -> None:
    cursor = encode_cursor(id)

    assert cursor.isascii()
    assert cursor.replace("-", "").replace("_", "").isalnum()
    assert load_schemas()["foss/list_foss.json"].faults({"after": cursor}) == []


# Its length asks for a padding.
CURSOR = encode_cursor(10)
MALFORMED = {
    "empty": "",
    "padded": CURSOR + "=" * (-len(CURSOR) % 4),
    "a padding too much": CURSOR + "=",
    "space before": " " + CURSOR,
    "space behind": CURSOR + " ",
    "newline behind": CURSOR + "\n",
    "space within": CURSOR[:4] + " " + CURSOR[4:],
    "trailing letters": CURSOR + "AAAA",
    "cut off": CURSOR[:-1],
    "other last bits": CURSOR[:-1] + chr(ord(CURSOR[-1]) + 1),
    "the standard alphabet": encode('{"id": "~~~???"}').replace("_", "/").replace("-", "+"),
    "not base64": "!!!",
    "non-ASCII": "ключ",
    "a NUL": CURSOR + "\x00",
    "a lone surrogate": "\ud800",
    "a bare id": "7",
    "a bare id, encoded": encode("7"),
    "other spacing": encode('{"id":7}'),
    "another property": encode('{"id": 7, "x": 1}'),
    "another name": encode('{"ID": 7}'),
    "a duplicate name": encode('{"id": 1, "id": 7}'),
    "a list": encode("[7]"),
    "a text": encode('"id"'),
    "null": encode("null"),
    "no JSON": encode("{id: 7}"),
    "bytes behind": encode('{"id": 7}\x00'),
    "a blank behind": encode('{"id": 7} '),
    "no UTF-8": encode(b'{"id": "\xff"}'),
    "a byte order mark": encode(b'\xef\xbb\xbf{"id": 7}'),
    "UTF-16": encode('{"id": 7}'.encode("utf-16")),
    "true": encode('{"id": true}'),
    "false": encode('{"id": false}'),
    "a float": encode('{"id": 7.0}'),
    "an exponent": encode('{"id": 7e0}'),
    "NaN": encode('{"id": NaN}'),
    "a number as text": encode('{"id": "7"}'),
    "null as id": encode('{"id": null}'),
    "a list as id": encode('{"id": [7]}'),
    "minus zero": encode('{"id": -0}'),
    "negative": encode('{"id": -1}'),
    "beyond bigint": encode(json.dumps({"id": MAX_BIGINT + 1})),
    "5000 digits": encode('{"id": ' + "9" * 5000 + "}"),
    "deep nesting": encode("[" * 100_000),
}


@pytest.mark.parametrize("cursor", MALFORMED.values(), ids=MALFORMED.keys())
def test_a_cursor_that_was_not_given_out_is_a_422(cursor: str) -> None:
    with pytest.raises(InvalidAPIRequest) as caught:
        decode_cursor(cursor)

    [fault] = caught.value.faults
    assert caught.value.code == 422
    assert (fault.pointer, fault.keyword) == ("/after", "format")
    assert fault.message.endswith(" is not a cursor of this collection")
    assert len(fault.message) < 130
