"""Exports: a collection as a stream of lines, if `Accept` prefers NDJSON or CSV to JSON.

A view declares it with `@exports(domain.export_foss)`. A failure before the first line is an
ordinary error response. A later one closes the connection without the end of the message (RFC 9112,
section 8), so that a client detects that the export is incomplete.
"""

import asyncio
import re
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing
from functools import wraps
from inspect import signature
from typing import Any, cast

import structlog
from quart import Quart, current_app, g, request
from quart.typing import ResponseReturnValue
from quart.wrappers import Response
from sqlalchemy.ext.asyncio import AsyncSession
from werkzeug.datastructures import MIMEAccept
from werkzeug.http import parse_accept_header

from service.common.bulk.content import CSV, NDJSON, lines_content
from service.common.bulk.csv_form import Csv
from service.common.bulk.forms import LineForm, Ndjson
from service.common.contract import JSON, MORE_CONTENT
from service.common.database import BYTES_FOR_OTHERS, Database, Transfer, release
from service.common.errors import cause_of
from service.common.web import current_application, current_request, lift_deadline
from service.metrics import STARTED_TRANSFERS

# Small enough to show whether the client makes progress.
PART_BYTES = BYTES_FOR_OTHERS

log = structlog.get_logger("service")
FORMS: Mapping[str, LineForm | None] = {
    # The first is the default.
    JSON: None,
    NDJSON: Ndjson(),
    CSV: Csv(),
    f"{CSV};escape=formula": Csv(escape_formulas=True),
}
# Parameters that always hold (RFC 4180, section 3).
MEDIA_TYPE_PARAMETERS = re.compile(r";\s*(charset=\"?utf-8\"?|header=\"?present\"?)", re.IGNORECASE)

View = Callable[..., Awaitable[ResponseReturnValue]]
Export = Callable[[AsyncSession, Any, LineForm], AsyncIterator[bytes]]


def register(app: Quart) -> None:
    """Close the lines of a response that is never sent."""
    app.teardown_request(close_unsent)


async def close_unsent(error: BaseException | None) -> None:
    """Close the lines if the request ended before its response began."""
    if error is not None and "lines" in g:
        await g.pop("lines").aclose()


def exports(export: Export) -> Callable[[View], View]:
    """Let a view also respond with lines, from `export(session, query, form)`.

    The view has the argument `query`. Raises TypeError if it has not.
    """

    def declare(view: View) -> View:
        if "query" not in signature(view).parameters:
            raise TypeError(
                f"`{view.__name__}` has no argument `query`: declare the query of its exports with "
                "`@document_querystring`."
            )

        @wraps(view)
        async def page_or_lines(**arguments: Any) -> ResponseReturnValue:
            form = preferred_form()
            if form is None:
                response = await current_app.make_response(await view(**arguments))
            else:
                response = await answer_lines(export, arguments["query"], form)
            response.vary.add("Accept")
            return response

        setattr(page_or_lines, MORE_CONTENT, {"200": lines_content()})
        return page_or_lines

    return declare


def preferred_form() -> LineForm | None:
    """Return the form that the client prefers (RFC 9110, section 12.5.1), or None for JSON."""
    text = ", ".join(current_request().headers.getlist("Accept"))
    if "text/" not in text.lower() and NDJSON not in text.lower():
        return None  # The usual case, without parsing.
    accepted = parse_accept_header(MEDIA_TYPE_PARAMETERS.sub("", text), MIMEAccept)
    return FORMS[accepted.best_match(FORMS, default=JSON)]


async def answer_lines(export: Export, query: Any, form: LineForm) -> Response:
    """Return a response that streams the lines, after fetching the first."""
    database = current_application().database
    session, transfer = database.bulk(), Transfer()
    # This validates the query; no statement is sent yet.
    exported = export(session, query, form)
    if request.method == "HEAD":
        response = Response("", content_type=form.media_type)
        # A length would be that of the lines.
        del response.headers["Content-Length"]
        return response
    STARTED_TRANSFERS.labels("export").inc()
    lift_deadline()
    lines = g.lines = until_closed(database, transfer, session, exported)
    first = await anext(lines, b"")
    return Response(body_or_abort(first, lines, transfer), content_type=form.media_type)


async def until_closed(
    database: Database, transfer: Transfer, session: AsyncSession, lines: AsyncIterator[bytes]
) -> AsyncGenerator[bytes]:
    """Yield the lines; closing the generator stops the query."""
    database.transfers[transfer] = session
    try:
        async for some in lines:
            yield some
    finally:
        # Shielded, because the client may disconnect at this moment.
        await asyncio.shield(_release(database, transfer, session))


async def _release(database: Database, transfer: Transfer, session: AsyncSession) -> None:
    try:
        await release(session)
    finally:
        del database.transfers[transfer]


async def body_or_abort(
    first: bytes, rest: AsyncGenerator[bytes], transfer: Transfer
) -> AsyncGenerator[bytes]:
    """Yield the body; on a failure end the request without the end of the message."""
    data: bytes | None = first
    # The server's task, which also sends each piece.
    task = cast("asyncio.Task[None]", asyncio.current_task())
    async with aclosing(rest):
        try:
            while data is not None:
                for start in range(0, len(data), PART_BYTES):
                    piece = data[start : start + PART_BYTES]
                    with transfer.waiting(task.cancel):
                        yield piece
                    transfer.move(len(piece))
                data = await anext(rest, None)
        except Exception as error:
            log.warning("export ended", cause=cause_of(error))
            # Quart and hypercorn then close the connection.
            raise asyncio.CancelledError from error
