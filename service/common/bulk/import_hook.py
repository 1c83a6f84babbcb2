"""Imports: a body of NDJSON or CSV stores all of its records, or none.

A view declares it with `@imports(domain.import_foss)`. Each line is validated by the schema file
that the view declares for one record. Fields that only the service can set (`readOnly` in the
view's response) are ignored, so that an export can be imported.
"""

import asyncio
from collections.abc import Awaitable, Callable
from functools import cache, wraps
from typing import Any, cast

from quart import current_app, g, request
from quart.typing import ResponseReturnValue
from quart_schema.validation import QUART_SCHEMA_REQUEST_ATTRIBUTE as REQUEST_ATTRIBUTE
from quart_schema.validation import QUART_SCHEMA_RESPONSE_ATTRIBUTE as RESPONSE_ATTRIBUTE
from sqlalchemy.ext.asyncio import AsyncSession

from service import limits
from service.common.bulk.content import CSV, LINES, lines_content
from service.common.bulk.csv_reader import CsvReader
from service.common.bulk.lines import Lines, Reader
from service.common.bulk.ndjson import NdjsonReader
from service.common.contract import JSON, MORE_CONTENT, REQUEST, Described, Payload
from service.common.database import SlowTransfers, Transfer
from service.common.errors import InvalidContentType
from service.common.middleware import more_media_types, session, use_bulk_session
from service.common.web import Admission, App, StreamedBody, current_request, lift_deadline
from service.metrics import STARTED_TRANSFERS

CREATED = 201
TOO_MANY_IMPORTS = "Too many imports run at the moment. Try again shortly."

View = Callable[..., Awaitable[ResponseReturnValue]]
Import = Callable[[AsyncSession, Lines], Awaitable[int]]


class CreatedCount(Described, schema="common/created_count.json"):
    """The number of records that were stored."""


def register(app: App, max_bytes: int, max_line_bytes: int) -> None:
    """Stream bodies of lines, up to `max_bytes`."""
    app.streamed_bodies |= dict.fromkeys(LINES, max_bytes)
    # Imports take turns: together they delay other requests no more than one does.
    turn = asyncio.Lock()
    transfers: set[Transfer] = set()
    slow = SlowTransfers(lambda: transfers, lambda: admission.places)
    admission = Admission(
        "IMPORTS",
        limits.IMPORTS.value,
        limits.IMPORTS_WAITING.value,
        slow.ending_for,
        limits.client_share,
    )

    async def open_lines() -> None:
        asked = current_request()
        body: object = asked.body
        if isinstance(body, StreamedBody) and request.mimetype in more_media_types():
            parameters = request.mimetype_params
            if parameters.get("charset", "utf-8").lower() not in {"utf-8", "utf8"}:
                raise InvalidContentType("Invalid charset. Only `utf-8` is allowed.")
            if parameters.get("header", "present").lower() != "present":
                raise InvalidContentType("Invalid header. Only `present` is allowed.")
            lift_deadline()
            # Before the first byte of the body is read.
            await admission.enter(TOO_MANY_IMPORTS, limits.POOL_WAIT_SECONDS.value)
            STARTED_TRANSFERS.labels("import").inc()
            g.import_transfer = transfer = Transfer()
            transfers.add(transfer)
            view = current_app.view_functions[cast("str", request.endpoint)]
            asked.payload = _lines(view, body, transfer)
            use_bulk_session(transfer)

    def leave() -> None:
        """Admit another import."""
        if "import_transfer" in g:
            transfers.remove(g.pop("import_transfer"))
            admission.leave()

    def _lines(view: Any, body: StreamedBody, transfer: Transfer) -> Lines:
        model, ignored = getattr(view, REQUEST_ATTRIBUTE)[0], _read_only(view)
        reader: Reader = NdjsonReader(max_line_bytes)
        if request.mimetype == CSV:
            reader = CsvReader(max_line_bytes, model, ignored)
        return Lines(body.pieces(transfer, turn, reader.content), reader, model, ignored)

    app.before_request(open_lines)
    # Before the response waits for the rest of the body.
    app.when_answered(leave)


def imports(store: Import) -> Callable[[View], View]:
    """Let a view that creates a record also create many, by `store(session, lines)`."""

    def declare(view: View) -> View:
        @wraps(view)
        async def one_or_many(payload: Payload | Lines, **arguments: Any) -> ResponseReturnValue:
            if not isinstance(payload, Lines):
                return await view(payload=payload, **arguments)
            return {"created": await store(session(), payload)}, CREATED

        answer = {JSON: {"schema": {"$ref": f"#/components/schemas/{CreatedCount.__name__}"}}}
        setattr(one_or_many, MORE_CONTENT, {REQUEST: lines_content(), str(CREATED): answer})
        return one_or_many

    return declare


@cache
def _read_only(view: Any) -> frozenset[str]:
    model, _headers = getattr(view, RESPONSE_ATTRIBUTE)[CREATED]
    properties = model.contract().document["properties"]
    return frozenset(name for name, schema in properties.items() if schema.get("readOnly"))
