"""Bytes from a client to plain values, strictly."""

import codecs
import json
import re
from collections import Counter
from typing import Any, NoReturn
from urllib.parse import unquote_to_bytes

from service.common.exceptions import MAX_FAULTS, Fault, InvalidAPIRequest
from service.common.faults import pointer, quote

MAX_DEPTH = 64
MAX_DIGITS = 4000
# Up to nine digits as they come, more only without leading zeros: no number is read two ways.
INTEGER = re.compile(r"-?(?:[0-9]{1,9}|[1-9][0-9]{9,17})")
NUMBER = re.compile(r"-?(?:0|[1-9][0-9]{0,17})(?:\.[0-9]{1,17})?")
# PostgreSQL's text has no NUL, and a lone surrogate has no UTF-8.
UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


def parse_json(body: bytes) -> object:
    """Read a JSON text (RFC 8259), and refuse what readers of JSON disagree about.

    Raises InvalidAPIRequest (400): the body is empty, no UTF-8, begins with a byte order
    mark, breaks the syntax, has NaN, an infinity or a number that overflows to it, names a
    property twice, or nests deeper than 64.
    """
    if not body:
        raise InvalidAPIRequest("The request body is empty: send a JSON value.")
    if body.startswith(codecs.BOM_UTF8):
        raise InvalidAPIRequest("The request body begins with a byte order mark: leave it out.")
    try:
        value: object = _decoder.decode(body.decode())
    except UnicodeDecodeError as error:
        raise InvalidAPIRequest(
            f"The request body is not UTF-8: byte {error.start} is wrong."
        ) from error
    except RecursionError as error:
        raise InvalidAPIRequest(f"The request body nests deeper than {MAX_DEPTH}.") from error
    except ValueError as error:
        raise InvalidAPIRequest(f"The request body is not valid JSON: {error}.") from error
    if body.count(b"[") + body.count(b"{") > MAX_DEPTH:
        _check_depth(value)
    return value


def parse_query(query: bytes, types: dict[str, str]) -> tuple[dict[str, Any], list[Fault]]:
    """Read a query string's raw bytes: the values by name, and the faults.

    `types` has the JSON type of each parameter; a text that is not of its type stays a text,
    for the schema to refuse.
    """
    values: dict[str, Any] = {}
    faults: list[Fault] = []
    for pair in filter(None, query.split(b"&")):
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
        values[name] = _convert(text, types.get(name))
    return values, faults


def text_faults(value: object) -> list[Fault]:
    """Return a fault for each text, in values and in names, that PostgreSQL can't hold."""
    faults: list[Fault] = []
    stack: list[tuple[tuple[str | int, ...], object]] = [((), value)]
    while stack and len(faults) < MAX_FAULTS:
        path, item = stack.pop()
        if isinstance(item, str):
            if found := UNSTORABLE.search(item):
                code = f"U+{ord(found[0]):04X}"
                faults.append(Fault(_clean(pointer(path)), "pattern", f"A text can't hold {code}"))
        elif isinstance(item, list):
            stack.extend(((*path, index), child) for index, child in enumerate(item))
        elif isinstance(item, dict):
            stack.extend(((*path, name), child) for name, child in item.items())
            stack.extend((path, name) for name in item)
    return faults


def _clean(text: str) -> str:
    return UNSTORABLE.sub("\ufffd", text)


def _convert(text: str, type_: str | None) -> object:
    match type_:
        case "integer" if INTEGER.fullmatch(text):
            return int(text)
        case "number" if NUMBER.fullmatch(text):
            return float(text)
        case "boolean" if text in {"true", "false"}:
            return text == "true"
        case "array":
            return text.split(",")
    return text


def _check_depth(value: object) -> None:
    level = [value] if isinstance(value, dict | list) else []
    for _ in range(MAX_DEPTH):
        level = [
            child
            for item in level
            for child in (item.values() if isinstance(item, dict) else item)
            if isinstance(child, dict | list)
        ]
        if not level:
            return
    raise InvalidAPIRequest(f"The request body nests deeper than {MAX_DEPTH}.")


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    value = dict(pairs)
    if len(value) != len(pairs):
        [(twice, _)] = Counter(name for name, _ in pairs).most_common(1)
        raise ValueError(f"the property {quote(_clean(twice))} is there twice")
    return value


def _float(text: str) -> float:
    value = float(text)
    if value in {float("inf"), float("-inf")}:
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
