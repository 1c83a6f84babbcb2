"""Idempotency keys: a request that is repeated gets the answer of the first, and is not done twice.

A view declares them with `document_headers(IdempotencyKeyHeader)`. The answer is kept in the
transaction of the record: either both are stored, or neither.
"""

from hashlib import sha256
from typing import Any, cast

from quart import Quart, current_app, g, request
from quart.wrappers import Response

from service import limits
from service.common.bulk.lines import Lines
from service.common.contract.validation import Payload
from service.common.errors import Fault, InvalidAPIRequest, JSONException, Row
from service.common.idempotency import backend
from service.common.idempotency.payloads import IdempotencyKeyHeader
from service.common.middleware.unit_of_work import session
from service.common.web.deadline import in_time
from service.common.web.json_exceptions import answer
from service.common.web.request import current_request

CREATED = 201
HEADERS = ("Content-Type", "ETag", "Location")
IN_PROGRESS = "The first request with this key is still running: try again soon."


class RequestInProgress(JSONException):
    """The first request with this key is still running."""

    status_code = 409
    headers = {"Retry-After": "1"}  # noqa: RUF012
    rows = (
        Row(
            409,
            "The first request with this `Idempotency-Key` is still running.",
            "Try again after `Retry-After` seconds.",
            response="Conflict",
        ),
    )


def register(app: Quart) -> None:
    """Answer from what is kept before the view, and keep the answer before the commit."""
    # The keys of this process's requests in progress. Further requests with one of these need no
    # connection to the database, so they can't keep requests with other keys from getting one.
    app.extensions["idempotency_keys"] = set()
    app.before_request(replay)
    app.after_request(keep)
    app.teardown_request(forget)


async def replay() -> Response | None:
    """Return the answer that is kept, if there is one.

    Raises RequestInProgress: the first is still running. Raises InvalidAPIRequest (422): the
    payload is another one.
    """
    arguments = cast("dict[str, Any]", current_request().view_args)
    if not isinstance(arguments.get("headers"), IdempotencyKeyHeader):
        return None
    key = arguments.pop("headers").idempotency_key
    if key is None:
        return None
    if isinstance(arguments["payload"], Lines):
        # No connection waits for a client that has only begun to send.
        await arguments["payload"].read_first()
    keys: set[str] = current_app.extensions["idempotency_keys"]
    if key in keys:
        raise RequestInProgress(IN_PROGRESS)
    keys.add(key)
    g.idempotency_key = key
    return await in_time(_replay(key, arguments["payload"]))


async def _replay(key: str, payload: Payload | Lines) -> Response | None:
    # Another process may have the key.
    if not await backend.lock_key(session(), key, _lock_milliseconds(payload)):
        raise RequestInProgress(IN_PROGRESS)
    kept = await backend.select_key(session(), key)
    if kept is None:
        g.idempotency = key, payload
        return None
    if kept.fingerprint != await _fingerprint(payload):
        sentence = "This key was given to another request: use a new one"
        fault = Fault("/Idempotency-Key", "const", sentence)
        raise InvalidAPIRequest(status_code=422, faults=[fault])
    response = Response(kept.body, status=kept.status, headers=kept.headers)
    response.headers["Idempotency-Replayed"] = "true"
    return response


def _lock_milliseconds(payload: Payload | Lines) -> int | None:
    # An import waits as long as its statements may run, with a key or without.
    return None if isinstance(payload, Lines) else limits.KEYED_LOCK_MILLISECONDS.value


async def keep(response: Response) -> Response:
    """Keep the answer with the record; an error is not kept, for it may pass."""
    if response.status_code != CREATED or "idempotency" not in g:
        return response
    key, payload = g.pop("idempotency")
    headers = {name: response.headers[name] for name in HEADERS if name in response.headers}
    facts = {"status": CREATED, "headers": headers, "body": await response.get_data()}
    request_ = {"key": key, "fingerprint": await _fingerprint(payload)}
    try:
        await in_time(backend.insert_key(session(), request_ | facts))
    except Exception as error:  # noqa: BLE001  # Whatever it is, it is the answer now.
        return await answer(error)
    return response


async def forget(error: BaseException | None) -> None:
    """Let another request have the key.

    A request that is cancelled may not be rolled back yet; then the database's lock decides.
    """
    del error
    if "idempotency_key" in g:
        current_app.extensions["idempotency_keys"].remove(g.pop("idempotency_key"))


async def _fingerprint(payload: Payload | Lines) -> bytes:
    """Return a short name for what is asked."""
    target = f"{request.method} {request.path} {request.mimetype} ".encode()
    return sha256(target + await payload.fingerprint()).digest()
