"""Strict parsing of bytes from a client to plain values."""

import codecs
import re
from collections.abc import Iterator
from itertools import islice
from math import isfinite
from typing import Any
from urllib.parse import unquote_to_bytes

import orjson

from service import limits
from service.common.contract.strict_json import decode, excess_of
from service.common.errors import MAX_FAULTS, Fault, InvalidAPIRequest, pointer, quote

# Up to nine digits in any form, more only without leading zeros.
INTEGER = re.compile(r"-?(?:[0-9]{1,9}|[1-9][0-9]{9,17})")
NUMBER = re.compile(r"-?(?:0|[1-9][0-9]{0,17})(?:\.[0-9]{1,25})?(?:[eE][+-]?[0-9]{1,3})?")
LIST_ITEMS = limits.LIST_ITEMS.value
MAX_QUERY = limits.QUERY_BYTES.value
# PostgreSQL's text has no NUL, and a lone surrogate has no UTF-8.
UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
CONTAINERS = frozenset({dict, list})


def parse_json(body: bytes, what: str = "The request body") -> object:
    """Parse a JSON text (RFC 8259), and reject what JSON parsers disagree about.

    `what` is the subject of error messages.

    Raises InvalidAPIRequest (400) if the body is empty or not UTF-8, begins with a byte order
    mark, has a syntax error, NaN, an infinity or a number that overflows to it, has duplicate
    properties, nests deeper than 64, or has more than 5000 values.
    """
    if not body:
        raise InvalidAPIRequest(f"{what} is empty: send a JSON value.")
    if body.startswith(codecs.BOM_UTF8):
        raise InvalidAPIRequest(f"{what} begins with a byte order mark: remove it.")
    if excess := excess_of(body):
        raise InvalidAPIRequest(f"{what} {excess}.")
    try:
        value = decode(body)
    except UnicodeDecodeError as error:
        raise InvalidAPIRequest(f"{what} is not UTF-8: byte {error.start} is invalid.") from error
    except ValueError as error:
        sentence = f"{what} is not valid JSON: {_clean(str(error))}."
        raise InvalidAPIRequest(sentence) from error
    return value


def parse_query(query: bytes, types: dict[str, str]) -> tuple[dict[str, Any], list[Fault]]:
    """Parse the raw bytes of a query string; return the values by name, and the faults.

    `types` has the JSON type of each parameter; a text that is not of its type stays a text,
    which the schema rejects.
    """
    if len(query) > MAX_QUERY:
        sentence = f"The query string is longer than {MAX_QUERY} bytes"
        return {}, [Fault("", "maxLength", sentence)]
    values: dict[str, Any] = {}
    faults: list[Fault] = []
    for pair in filter(None, query.split(b"&")):
        if len(faults) == MAX_FAULTS:
            break
        raw_name, _, raw_value = pair.replace(b"+", b" ").partition(b"=")
        try:
            name, text = unquote_to_bytes(raw_name).decode(), unquote_to_bytes(raw_value).decode()
        except UnicodeDecodeError:
            faults.append(Fault("", "format", "The query string is not UTF-8"))
            continue
        if name in values:
            faults.append(
                Fault(pointer([name]), "maxItems", f"{quote(name)} is given more than once")
            )
        if types.get(name) == "array" and text.count(",") >= LIST_ITEMS:
            sentence = f"{quote(name)} has more than {LIST_ITEMS} items"
            faults.append(Fault(pointer([name]), "maxItems", sentence))
        values[name] = convert(text, types.get(name))
    return values, faults


def text_faults(value: object) -> list[Fault]:
    """Return a fault for each text, in values and in names, that PostgreSQL can't store."""
    if not isinstance(value, str | list | dict) or _is_storable(value):
        return []
    return [*islice(_unstorable(value), MAX_FAULTS)]


def _is_storable(value: object) -> bool:
    """Return quickly whether all texts can be stored; False also if that is uncertain."""
    try:
        return b"\\u0000" not in orjson.dumps(value)
    except orjson.JSONEncodeError:
        return False  # A lone surrogate, or a number beyond 64 bits.


def _unstorable(value: object) -> Iterator[Fault]:
    # A place is a pair of its parent's place and a name or index.
    stack: list[tuple[Any, Any]] = [((), value)]
    search = UNSTORABLE.search
    while stack:
        place, item = stack.pop()
        if isinstance(item, str):
            if found := search(item):
                code = f"U+{ord(found[0]):04X}"
                yield Fault(
                    _clean(_pointer(place)), "pattern", f"The character {code} can't be stored"
                )
            continue
        if isinstance(item, dict):
            stack.extend((place, name) for name in item if search(name))
        children = enumerate(item) if isinstance(item, list) else item.items()
        for part, child in children:
            if child and (type(child) in CONTAINERS or (type(child) is str and search(child))):
                stack.append(((place, part), child))


def _pointer(place: Any) -> str:
    parts: list[str | int] = []
    while place:
        place, part = place
        parts.append(part)
    return pointer(reversed(parts))


def _clean(text: str) -> str:
    return UNSTORABLE.sub("\ufffd", text)


def convert(text: str, type_: str | None) -> object:
    """Return a text as a value of a JSON type, or unchanged if it is not of this type."""
    match type_:
        case "integer" if INTEGER.fullmatch(text):
            return int(text)
        case "number" if NUMBER.fullmatch(text) and isfinite(float(text)):
            return float(text)
        case "boolean" if text in {"true", "false"}:
            return text == "true"
        case "array":
            return text.split(",")
    return text
