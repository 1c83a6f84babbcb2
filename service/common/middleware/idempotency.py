"""Idempotency keys: a request that is repeated gets the answer of the first, and is not done twice.

A view declares them with `document_headers(IdempotencyKeyHeader)`. The answer is kept in the
transaction of the record: either both are stored, or neither.
"""

from hashlib import sha256
from typing import Any, cast

import orjson
from quart import Quart, g, request
from quart.wrappers import Response

from service.common.exceptions import Fault, InvalidAPIRequest, RequestInProgress
from service.common.idempotency import backend
from service.common.middleware.unit_of_work import session
from service.common.payloads import IdempotencyKeyHeader
from service.common.validation import Payload

CREATED = 201
HEADERS = ("Content-Type", "ETag", "Location")


def register(app: Quart) -> None:
    """Answer from what is kept before the view, and keep the answer before the commit."""
    app.before_request(replay)
    app.after_request(keep)


async def replay() -> Response | None:
    """Return the answer that is kept, if there is one.

    Raises RequestInProgress: the first is still running. Raises InvalidAPIRequest (422): the
    payload is another one.
    """
    arguments = cast("dict[str, Any]", request.view_args)
    if not isinstance(arguments.get("headers"), IdempotencyKeyHeader):
        return None
    key = arguments.pop("headers").idempotency_key
    if key is None:
        return None
    if not await backend.lock_key(session(), key):
        raise RequestInProgress("The first request with this key is still running: try again soon.")
    fingerprint = _fingerprint(arguments["payload"])
    kept = await backend.select_key(session(), key)
    if kept is None:
        g.idempotency_key = {"key": key, "fingerprint": fingerprint}
        return None
    if kept.fingerprint != fingerprint:
        sentence = "This key was given to another request: use a new one"
        fault = Fault("/Idempotency-Key", "const", sentence)
        raise InvalidAPIRequest(status_code=422, faults=[fault])
    response = Response(kept.body, status=kept.status, headers=kept.headers)
    response.headers["Idempotency-Replayed"] = "true"
    return response


async def keep(response: Response) -> Response:
    """Keep the answer with the record; an error is not kept, for it may pass."""
    if response.status_code != CREATED or "idempotency_key" not in g:
        return response
    headers = {name: response.headers[name] for name in HEADERS if name in response.headers}
    facts = {"status": CREATED, "headers": headers, "body": await response.get_data()}
    await backend.insert_key(session(), g.pop("idempotency_key") | facts)
    return response


def _fingerprint(payload: Payload) -> bytes:
    """Return a short name for what is asked: the same for the same values, however written."""
    values = orjson.dumps(payload.model_dump(), option=orjson.OPT_SORT_KEYS)
    return sha256(f"{request.method} {request.path} ".encode() + values).digest()
