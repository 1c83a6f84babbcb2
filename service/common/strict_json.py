"""The decoder: JSON texts (RFC 8259) without what readers of JSON disagree about."""

import json
from collections import Counter
from itertools import accumulate
from math import isinf
from typing import NoReturn

from service.common import limits
from service.common.collector import paused_collector
from service.common.faults import quote

MAX_DEPTH = limits.JSON_DEPTH.value
MAX_DIGITS = limits.JSON_DIGITS.value
# Up to here a body has too few values for the collector to matter.
SMALL = 10_000
STEPS = bytes.maketrans(b"[{]}", b"\x01\x01\xff\xff")
NO_BRACKETS = bytes(set(range(256)) - set(b"[{]}"))


def decode(body: bytes) -> object:
    """Return the value of a JSON text.

    Raises ValueError: no UTF-8, wrong syntax, NaN, an infinity or a number that overflows to it,
    or a property that is there twice. Raises RecursionError.
    """
    if len(body) < SMALL:
        return _decoder.decode(body.decode())
    with paused_collector():
        return _decoder.decode(body.decode())


def nests_too_deep(body: bytes) -> bool:
    """Return whether a well-formed JSON text nests deeper than 64.

    The brackets alone are counted: that is much faster than to walk through the value.
    """
    if body.count(b"[") + body.count(b"{") <= MAX_DEPTH:
        return False
    # Between the quotation marks that are not escaped, every second part is outside of a text.
    parts = body.replace(rb"\\", b"").replace(rb"\"", b"").split(b'"')
    steps = memoryview(b"".join(parts[::2]).translate(STEPS, NO_BRACKETS)).cast("b")
    return max(accumulate(steps), default=0) > MAX_DEPTH


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    value = dict(pairs)
    if len(value) != len(pairs):
        [(twice, _)] = Counter(name for name, _ in pairs).most_common(1)
        raise ValueError(f"the property {quote(twice)} is there twice")
    return value


def _float(text: str) -> float:
    value = float(text)
    if isinf(value):
        raise ValueError(f"the number {quote(text)} is out of range")
    return value


def _constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _int(text: str) -> int:
    # Python refuses more digits, with advice for the programmer.
    if len(text) > MAX_DIGITS:
        raise ValueError(f"the number {quote(text)[1:-1]} is out of range")
    return int(text)


_decoder = json.JSONDecoder(
    object_pairs_hook=_object, parse_float=_float, parse_int=_int, parse_constant=_constant
)
