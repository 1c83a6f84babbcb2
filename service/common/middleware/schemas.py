"""Schema validation: what a view declares of body, headers and query string is enforced here.

A view declares with quart-schema's `document_request`, `document_headers` and
`document_querystring`, and gets a value as its argument `payload`, `headers` or `query`.
"""

import asyncio
from collections.abc import Iterable
from functools import cache, lru_cache
from itertools import islice
from typing import Any, cast

from quart import current_app
from quart_schema.validation import QUART_SCHEMA_HEADERS_ATTRIBUTE as HEADERS
from quart_schema.validation import QUART_SCHEMA_QUERYSTRING_ATTRIBUTE as QUERY
from quart_schema.validation import QUART_SCHEMA_REQUEST_ATTRIBUTE as REQUEST
from werkzeug.datastructures import Headers

from service.common.contract.parsing import parse_json, parse_query, text_faults
from service.common.contract.validation import DIRECTORY, Payload
from service.common.errors import MAX_NAMES, Fault, InvalidAPIRequest, quote
from service.common.middleware.admission import admit, lent
from service.common.middleware.guard import PUBLIC_PATHS
from service.common.web.app import App
from service.common.web.body_limits import body_size, take_body
from service.common.web.request import current_request

# What is longer is hardly asked again, and is not kept.
SHORT = 100
# Parsing more bytes than this may take several milliseconds.
LARGE = 1 << 14


def register(app: App) -> None:
    """Compile the schema files, and check every request against what its view declares."""
    app.add_schemas(DIRECTORY)
    app.extensions["large_body"] = asyncio.Lock()
    app.before_request(check_schemas)


async def check_schemas() -> None:
    """Put the values of body, headers and query string among the view's arguments.

    Raises InvalidAPIRequest: malformed (400), or not as the schema file says (422).
    """
    asked = current_request()
    view = current_app.view_functions[cast("str", asked.endpoint)]
    arguments = cast("dict[str, Any]", asked.view_args)
    # A body of lines is there already, and is read later: imports have a limit of their own.
    if "payload" not in arguments:
        declared = getattr(view, REQUEST, None)
        size = await body_size() if declared else 0
        await admit()
        if declared:
            arguments["payload"] = await _read_payload(declared[0], size)
    if model := getattr(view, HEADERS, None):
        arguments["headers"] = _read_headers(model, asked.headers)
    if model := getattr(view, QUERY, None):
        arguments["query"] = _read_query(model, asked.query_string)
    elif asked.query_string.strip(b"&") and asked.path not in PUBLIC_PATHS:
        # Monitors and links add parameters of their own to the addresses of these.
        raise _unexpected(parse_query(asked.query_string, {})[0])


async def _read_payload(model: type[Payload], size: int) -> Payload:
    if size <= LARGE:
        return _parse(model, await take_body())
    # One after another, and others run in between: many may arrive in the same moment.
    turn: asyncio.Lock = current_app.extensions["large_body"]
    with lent():
        await turn.acquire()
    try:
        await asyncio.sleep(0)
        return _parse(model, await take_body())
    finally:
        turn.release()


def _parse(model: type[Payload], body: bytes) -> Payload:
    value = parse_json(body)
    # Only an escape can bring a character that UTF-8 or PostgreSQL does not have.
    faults = text_faults(value) if b"\\u" in body else []
    return model.check(value, faults)


def _read_query(model: type[Payload], query: bytes) -> Payload:
    return (_read_short if len(query) <= SHORT else _read_parameters)(model, query)


def _read_parameters(model: type[Payload], query: bytes) -> Payload:
    values, faults = parse_query(query, _parameter_types(model))
    return model.check(values, faults or text_faults(values))


# The same few are asked again and again; the value can't be changed.
_read_short = lru_cache(_read_parameters)


def _read_headers(model: type[Payload], headers: Headers) -> Payload:
    # Several lines are one list (RFC 9110, section 5.3); all other headers are nobody's fault.
    lines = {name: headers.getlist(name) for name in _parameter_types(model)}
    return model.check({name: ", ".join(found) for name, found in lines.items() if found})


def _unexpected(names: Iterable[str]) -> InvalidAPIRequest:
    quoted = ", ".join(map(quote, islice(names, MAX_NAMES)))
    sentence = f"There are no parameters here, but {quoted or 'some'} came"
    fault = Fault("", "additionalProperties", sentence)
    return InvalidAPIRequest(status_code=422, faults=[fault])


@cache
def _parameter_types(model: type[Payload]) -> dict[str, str]:
    properties = model.contract().document["properties"]
    return {name: schema["type"] for name, schema in properties.items()}
