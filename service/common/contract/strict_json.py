"""JSON texts (RFC 8259): a decoder that rejects what parsers disagree about, and an encoder."""

import json
from collections import Counter
from itertools import accumulate
from math import isinf
from typing import NoReturn

from service import limits
from service.common.errors import quote

MAX_DEPTH = limits.JSON_DEPTH.value
MAX_VALUES = limits.JSON_VALUES.value
MAX_DIGITS = limits.JSON_DIGITS.value
TOO_DEEP = f"nests deeper than {MAX_DEPTH}"
TOO_MANY_VALUES = f"has more than {MAX_VALUES} values: send them in parts"
# An opening bracket, a closing one and a comma.
STEPS = bytes.maketrans(b"[{]},", b"\x01\x01\xff\xff\x00")
OTHERS = bytes(set(range(256)) - set(b"[{]},"))

# Without spaces, and only what must be escaped is.
encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def decode(body: bytes) -> object:
    """Return the value of a JSON text.

    Raises ValueError if it is not UTF-8, or has a syntax error, NaN, an infinity or a number that
    overflows to it, or duplicate properties.
    """
    return _decoder.decode(body.decode())


def excess_of(body: bytes) -> str | None:
    """Return the end of a sentence if a JSON text nests too deep or has too many values.

    Only brackets and commas are counted, which takes a fraction of the time of parsing.
    """
    brackets = body.count(b"[") + body.count(b"{")
    # A value and its comma take at least two bytes.
    if brackets <= MAX_DEPTH and len(body) <= 2 * MAX_VALUES:
        return None
    unescaped = body.replace(rb"\\", b"").replace(rb"\"", b"")
    # A value has up to two quotation marks, and its name two more.
    if unescaped.count(b'"') > 4 * MAX_VALUES:
        return TOO_MANY_VALUES
    # Every second part between quotation marks is outside of a string.
    steps = b"".join(unescaped.split(b'"')[::2]).translate(STEPS, OTHERS)
    if steps.count(b"\0") + steps.count(b"\x01") + 1 > MAX_VALUES:
        return TOO_MANY_VALUES
    return TOO_DEEP if max(accumulate(memoryview(steps).cast("b")), default=0) > MAX_DEPTH else None


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    value = dict(pairs)
    if len(value) != len(pairs):
        [(duplicate, _)] = Counter(name for name, _ in pairs).most_common(1)
        raise ValueError(f"the property {quote(duplicate)} is duplicated")
    return value


def _float(text: str) -> float:
    value = float(text)
    if isinf(value):
        raise ValueError(f"the number {quote(text)} is out of range")
    return value


def _constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _int(text: str) -> int:
    # Python rejects more digits with a message for programmers.
    if len(text.lstrip("-")) > MAX_DIGITS:
        raise ValueError(f"the number {quote(text)[1:-1]} is out of range")
    return int(text)


_decoder = json.JSONDecoder(
    object_pairs_hook=_object, parse_float=_float, parse_int=_int, parse_constant=_constant
)
