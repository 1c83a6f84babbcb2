"""Schema violations as sentences for people."""

import json
from collections.abc import Iterable, Sequence
from typing import Any

from jsonschema_rs import ValidationError
from jsonschema_rs import ValidationErrorKind as Kind

from service import limits
from service.common.errors.exceptions import MAX_QUOTED, Fault, cut

MAX_NAMES = limits.FAULT_NAMES.value
# The placeholder for the value in the validator's messages, because a value may be very long.
PLACEHOLDER = "\x00"
# Keywords of an object that need only its property names and each value by itself.
SIMPLE_KEYWORDS = frozenset(
    {
        *("$schema", "$id", "title", "description", "examples"),
        *("type", "required", "properties", "additionalProperties"),
    }
)
# The message for a `pattern` that does not match. Validators ignore it, as it is no keyword of JSON
# Schema.
PATTERN_MESSAGE = "x-pattern-message"
# Clients may know these sentences; every other keyword has the validator's own sentence.
LENGTH_SENTENCES = {
    "minLength": f"{PLACEHOLDER} is too short",
    "maxLength": f"{PLACEHOLDER} is too long",
}


def pointer(path: Iterable[str | int]) -> str:
    """Return a path as a JSON Pointer (RFC 6901)."""
    return "".join(f"/{str(part).replace('~', '~0').replace('/', '~1')}" for part in path)


def quote(value: object) -> str:
    """Return a value as a message quotes it, cut at 80 characters."""
    if isinstance(value, str):
        return f"'{cut(value)}'"
    text = ""
    # In pieces: the value may be a megabyte. The check for circular values would keep it
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
    # If a text is too short, its pattern is not mentioned.
    return [one for one in found if one.keyword != "pattern" or one.pointer not in short]


def missing_sentence(name: str) -> str:
    """Return the message for a property that is missing."""
    return f"{quote(name)} is a required property"


def unknown_sentence(names: Sequence[str]) -> str:
    """Return the message for properties that are not allowed."""
    some = ", ".join(map(quote, names[:MAX_NAMES]))
    verb = "was" if len(names) == 1 else "were"
    return f"Additional properties are not allowed ({some} {verb} unexpected)"


def fault_of(error: ValidationError, document: object = None) -> Fault:
    """Return what the validator found, with the value cut at 80 characters."""
    match error.kind:
        case Kind.Required(property=name):
            sentence = missing_sentence(name)
        case Kind.AdditionalProperties(unexpected=unexpected):
            sentence = unknown_sentence(unexpected)
        case Kind.Format(format=name):
            sentence = f"{PLACEHOLDER} is not a valid {name}"
        case Kind.Enum(options=list(options)):
            sentence = f"{PLACEHOLDER} is not one of {', '.join(map(quote, options[:MAX_NAMES]))}"
        case Kind.Pattern() if message := _message(error.schema_path, document):
            sentence = f"{PLACEHOLDER} {message}"
        case Kind.Not(schema={"required": list(excluded)}):
            sentence = f"{' and '.join(map(quote, excluded))} can't be used together"
        case _:
            sentence = LENGTH_SENTENCES.get(error.kind.name) or error.message.replace('"', "'")
    if PLACEHOLDER in sentence:
        # `instance` is a copy of the value.
        sentence = sentence.replace(PLACEHOLDER, quote(error.instance))
    return Fault(pointer(error.instance_path), error.kind.name, sentence)


def _message(path: Iterable[str | int], document: Any) -> str | None:
    """Return the schema file's message for a text that its pattern does not match, if any."""
    *place, _keyword = path
    for part in place:
        # After a reference, the rest of the path is in another file.
        inside = part in document if isinstance(document, dict) else isinstance(document, list)
        document = document[part] if inside else None
    return document.get(PATTERN_MESSAGE) if isinstance(document, dict) else None
