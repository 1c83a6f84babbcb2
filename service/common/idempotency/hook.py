"""Idempotency keys: a repeated request gets the response of the first, and is not executed again.

A view declares them with `document_headers(IdempotencyKeyHeader)`. The response is stored in the
transaction of the record: either both are stored, or neither.
"""

from hashlib import sha256

from quart import current_app, g, request
from quart.wrappers import Response

from service import limits
from service.common.contract import Document, Payload, StreamedPayload
from service.common.errors import Fault, InvalidAPIRequest, JSONException, Row
from service.common.idempotency import backend
from service.common.idempotency.payloads import IdempotencyKeyHeader
from service.common.middleware import session
from service.common.web import App, answer, current_request, in_time
from service.metrics import IDEMPOTENCY_REPLAYS

CREATED = 201
KEPT_HEADERS = ("Content-Type", "ETag", "Location")
KEY, REPLAYED = "Idempotency-Key", "Idempotency-Replayed"
REPLAYED_HEADER = {
    "description": f"The response is that of an earlier request with the same `{KEY}`.",
    "required": False,
    "schema": {"type": "string", "const": "true", "examples": ["true"]},
}
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


def register(app: App) -> None:
    """Replay a stored response before the view, and store a new one before the commit."""
    # The keys of this process's requests in progress. Further requests with one of these need no
    # connection to the database, so they can't keep requests with other keys from getting one.
    app.extensions["idempotency_keys"] = set()
    app.before_request(replay)
    app.after_request(keep)
    app.teardown_request(forget)
    app.contract_additions.append(describe)


def describe(document: Document) -> None:
    """Add the header of replayed responses to the operations with a key, in the contract."""
    for operations in document["paths"].values():
        for operation in operations.values():
            if any(one.get("name") == KEY for one in operation["parameters"]):
                operation["responses"][str(CREATED)]["headers"][REPLAYED] = REPLAYED_HEADER


async def replay() -> Response | None:
    """Return the stored response, if there is one.

    Raises RequestInProgress if the first request is still running, and InvalidAPIRequest (422) if
    its payload was another one.
    """
    asked = current_request()
    headers, payload = asked.declared_headers, asked.payload
    if not isinstance(headers, IdempotencyKeyHeader) or payload is None:
        return None
    key = headers.idempotency_key
    if key is None:
        return None
    if isinstance(payload, StreamedPayload):
        # So that no connection is held while the client begins to send.
        await payload.read_first()
    keys: set[str] = current_app.extensions["idempotency_keys"]
    if key in keys:
        raise RequestInProgress(IN_PROGRESS)
    keys.add(key)
    g.idempotency_key = key
    return await in_time(_replay(key, payload))


async def _replay(key: str, payload: Payload | StreamedPayload) -> Response | None:
    # Another process may hold the key.
    if not await backend.lock_key(session(), key, _lock_milliseconds(payload)):
        raise RequestInProgress(IN_PROGRESS)
    kept = await backend.select_key(session(), key)
    if kept is None:
        g.idempotency = key, payload
        return None
    if kept.fingerprint != await _fingerprint(payload):
        sentence = "This key was used for another request: use a new one"
        fault = Fault("/Idempotency-Key", "const", sentence)
        raise InvalidAPIRequest(status_code=422, faults=[fault])
    response = Response(kept.body, status=kept.status, headers=kept.headers)
    response.headers[REPLAYED] = "true"
    IDEMPOTENCY_REPLAYS.inc()
    return response


def _lock_milliseconds(payload: Payload | StreamedPayload) -> int | None:
    # An import waits for locks as long as its statements may run, with or without a key.
    return None if isinstance(payload, StreamedPayload) else limits.KEYED_LOCK_MILLISECONDS.value


async def keep(response: Response) -> Response:
    """Store the response with the record; errors are not stored, because they may be temporary."""
    if response.status_code != CREATED or "idempotency" not in g:
        return response
    key, payload = g.pop("idempotency")
    headers = {name: response.headers[name] for name in KEPT_HEADERS if name in response.headers}
    facts = {"status": CREATED, "headers": headers, "body": await response.get_data()}
    request_ = {"key": key, "fingerprint": await _fingerprint(payload)}
    try:
        await in_time(backend.insert_key(session(), request_ | facts))
    except Exception as error:  # noqa: BLE001  # Rendered as the response.
        return await answer(error)
    return response


async def forget(error: BaseException | None) -> None:
    """Release the key for other requests.

    A cancelled request may not be rolled back yet; then the database's lock decides.
    """
    del error
    if "idempotency_key" in g:
        current_app.extensions["idempotency_keys"].remove(g.pop("idempotency_key"))


async def _fingerprint(payload: Payload | StreamedPayload) -> bytes:
    """Return a hash of the request."""
    target = f"{request.method} {request.path} {request.mimetype} ".encode()
    return sha256(target + await payload.fingerprint()).digest()
