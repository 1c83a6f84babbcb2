"""The faults that a schema finds, as sentences that a person understands."""

import json
from collections.abc import Container, Iterable
from itertools import islice
from typing import Any

from jsonschema_rs import ValidationError
from jsonschema_rs import ValidationErrorKind as Kind

from service import limits
from service.common.errors.exceptions import MAX_QUOTED, Fault, cut

MAX_NAMES = limits.FAULT_NAMES.value
# Stands in a message of the validator where the value would be, however long that is.
VALUE = "\x00"
# The keywords of an object that look at its properties one by one, or at nothing.
PLAIN = frozenset(
    {
        *("$schema", "$id", "title", "description", "examples"),
        *("type", "required", "properties", "additionalProperties"),
    }
)
# The keyword beside `pattern` that says what a person has to do: no keyword of JSON Schema, so that
# validators pass it over.
MESSAGE = "x-pattern-message"
# Clients may know these sentences; every other keyword has the validator's own sentence.
SENTENCES = {"minLength": f"{VALUE} is too short", "maxLength": f"{VALUE} is too long"}


def pointer(path: Iterable[str | int]) -> str:
    """Return a path as a JSON Pointer (RFC 6901)."""
    return "".join(f"/{str(part).replace('~', '~0').replace('/', '~1')}" for part in path)


def quote(value: object) -> str:
    """Return a value as a message quotes it, cut at 80 characters."""
    if isinstance(value, str):
        return f"'{cut(value)}'"
    text = ""
    # Piece by piece, for the value may be a megabyte. The check for circular values would keep it
    # until the garbage is collected.
    for piece in json.JSONEncoder(ensure_ascii=False, check_circular=False).iterencode(value):
        text += piece
        if len(text) > MAX_QUOTED:
            break
    return cut(text)


def faults_of(errors: Iterable[ValidationError], document: object) -> list[Fault]:
    """Return what the validator found by a schema file, with each value cut at 80 characters."""
    found = [fault_of(error, document) for error in errors]
    short = {fault.pointer for fault in found if fault.keyword == "minLength"}
    # Of a text that is too short nothing else need be said.
    return [one for one in found if one.keyword != "pattern" or one.pointer not in short]


def fault_of(error: ValidationError, document: object = None) -> Fault:
    """Return what the validator found, with the value cut at 80 characters."""
    match error.kind:
        case Kind.Required(property=name):
            sentence = f"{quote(name)} is a required property"
        case Kind.AdditionalProperties(unexpected=unexpected):
            names = ", ".join(map(quote, unexpected[:MAX_NAMES]))
            verb = "was" if len(unexpected) == 1 else "were"
            sentence = f"Additional properties are not allowed ({names} {verb} unexpected)"
        case Kind.Format(format=name):
            sentence = f"{VALUE} is not a valid {name}"
        case Kind.Enum(options=list(options)):
            sentence = f"{VALUE} is not one of {', '.join(map(quote, options[:MAX_NAMES]))}"
        case Kind.Pattern() if message := _message(error.schema_path, document):
            sentence = f"{VALUE} {message}"
        case Kind.Not(schema={"required": list(excluded)}):
            sentence = f"{' and '.join(map(quote, excluded))} can't be used together"
        case _:
            sentence = SENTENCES.get(error.kind.name) or error.message.replace('"', "'")
    if VALUE in sentence:
        # `instance` is a copy of the value.
        sentence = sentence.replace(VALUE, quote(error.instance))
    return Fault(pointer(error.instance_path), error.kind.name, sentence)


def _message(path: Iterable[str | int], document: Any) -> str | None:
    """Return what a schema file says of a text that its pattern does not match, if anything."""
    *place, _keyword = path
    for part in place:
        # Behind a reference the place is in another file.
        inside = part in document if isinstance(document, dict) else isinstance(document, list)
        document = document[part] if inside else None
    return document.get(MESSAGE) if isinstance(document, dict) else None


def without_strangers(value: dict[str, object], known: Container[str]) -> dict[str, object]:
    """Leave out of an object what no fault tells of properties that it must not have."""
    strangers = set(islice((name for name in value if name not in known), MAX_NAMES + 1))
    return {
        name: item if name in known else None
        for name, item in value.items()
        if name in known or name in strangers
    }
