"""Schema validation: enforce what a view declares of body, headers and query string.

A view declares with quart-schema's `document_request`, `document_headers` and
`document_querystring`, and gets the values as its arguments `payload`, `headers` and `query`.
"""

from collections.abc import Callable, Iterable
from functools import cache, lru_cache
from inspect import signature
from itertools import islice
from typing import Any, cast

from quart import current_app
from quart_schema.validation import QUART_SCHEMA_HEADERS_ATTRIBUTE as HEADERS_ATTRIBUTE
from quart_schema.validation import QUART_SCHEMA_QUERYSTRING_ATTRIBUTE as QUERY_ATTRIBUTE
from quart_schema.validation import QUART_SCHEMA_REQUEST_ATTRIBUTE as REQUEST_ATTRIBUTE
from werkzeug.datastructures import Headers

from service.common.contract import DIRECTORY, Payload, parse_json, parse_query, text_faults
from service.common.errors import MAX_NAMES, Fault, InvalidAPIRequest, quote
from service.common.middleware.admission import admit, admit_large_body, suspended
from service.common.web import (
    App,
    body_size,
    current_application,
    current_request,
    is_public,
    take_body,
)
from service.limits import LONG_BYTES

# Longer query strings are rarely repeated, and not cached.
SHORT = 100
# The parsed values of larger bodies take much memory.
SMALL_BODY_BYTES = 1 << 14


def register(app: App) -> None:
    """Compile the schema files, and validate every request by what its view declares."""
    app.add_schemas(DIRECTORY)
    app.before_request(check_schemas)


async def check_schemas() -> None:
    """Read body, headers and query string, and give them to the view.

    Raises InvalidAPIRequest if the body is malformed (400) or violates the schema (422).
    """
    asked = current_request()
    view = current_app.view_functions[cast("str", asked.endpoint)]
    # An import already has its payload, which is read later: imports have a limit of their own.
    if asked.payload is None:
        declared = getattr(view, REQUEST_ATTRIBUTE, None)
        size = await body_size() if declared else 0
        await admit()
        if declared:
            asked.payload = await _read_payload(declared[0], size)
    arguments = cast("dict[str, Any]", asked.view_args)
    if asked.payload is not None:
        arguments["payload"] = asked.payload
    if model := getattr(view, HEADERS_ATTRIBUTE, None):
        asked.declared_headers = _read_headers(model, asked.headers)
        if _takes_headers(view):
            arguments["headers"] = asked.declared_headers
    if model := getattr(view, QUERY_ATTRIBUTE, None):
        arguments["query"] = _read_query(model, asked.query_string)
    elif asked.query_string.strip(b"&") and not is_public(view):
        # Monitors and links add parameters of their own to the public URLs.
        raise _unexpected(parse_query(asked.query_string, {})[0])


async def _read_payload(model: type[Payload], size: int) -> Payload:
    if size <= LONG_BYTES.value:
        return _parse(model, await take_body())
    if size > SMALL_BODY_BYTES:
        await admit_large_body()
    with suspended():
        end = await current_application().long_steps.start()
    try:
        return _parse(model, await take_body())
    finally:
        end()


def _parse(model: type[Payload], body: bytes) -> Payload:
    value = parse_json(body)
    # Only an escape sequence can contain a character that UTF-8 or PostgreSQL lacks.
    faults = text_faults(value) if b"\\u" in body else []
    return model.check(value, faults)


def _read_query(model: type[Payload], query: bytes) -> Payload:
    return (_read_short if len(query) <= SHORT else _read_parameters)(model, query)


def _read_parameters(model: type[Payload], query: bytes) -> Payload:
    values, faults = parse_query(query, _parameter_types(model))
    return model.check(values, faults or text_faults(values))


# Few distinct query strings are repeated often; the value is immutable.
_read_short = lru_cache(_read_parameters)


def _read_headers(model: type[Payload], headers: Headers) -> Payload:
    # Several field lines are one list (RFC 9110, section 5.3); other headers are not validated.
    lines = {name: headers.getlist(name) for name in _parameter_types(model)}
    return model.check({name: ", ".join(found) for name, found in lines.items() if found})


def _unexpected(names: Iterable[str]) -> InvalidAPIRequest:
    quoted = ", ".join(map(quote, islice(names, MAX_NAMES)))
    sentence = f"This URL takes no query parameters: remove {quoted or 'them'}"
    fault = Fault("", "additionalProperties", sentence)
    return InvalidAPIRequest(status_code=422, faults=[fault])


@cache
def _takes_headers(view: Callable[..., Any]) -> bool:
    # Those of a hook, such as `Idempotency-Key`, need no parameter.
    return "headers" in signature(view).parameters


@cache
def _parameter_types(model: type[Payload]) -> dict[str, str]:
    properties = model.contract().document["properties"]
    return {name: schema["type"] for name, schema in properties.items()}
