"""Conditional requests (RFC 9110, section 13) and `Cache-Control` (RFC 9111)."""

from quart import Quart
from quart.wrappers import Response

from service.common.errors import Fault, InvalidAPIRequest
from service.common.resource.entity_tags import MAX_TAGS, entity_tag, has_too_many_tags, matches
from service.common.web import current_request

# Only a response with an entity tag may be stored, and only by its client.
WITH_TAG = "private, no-cache"
WITHOUT_TAG = "no-store"


def register(app: Quart) -> None:
    """Answer 304 if the client has the current representation; set `Cache-Control`."""
    app.before_request(check_tags)
    app.after_request(send_validators)


async def check_tags() -> None:
    """Raise InvalidAPIRequest (422) if a precondition has too many tags."""
    headers = current_request().headers
    if "If-Match" not in headers and "If-None-Match" not in headers:
        return
    faults = [
        Fault(f"/{name}", "maxItems", f"'{name}' has more than {MAX_TAGS} entity tags")
        for name in ("If-Match", "If-None-Match")
        if name in headers and has_too_many_tags(", ".join(headers.getlist(name)))
    ]
    if faults:
        raise InvalidAPIRequest(status_code=422, faults=faults)


async def send_validators(response: Response) -> Response:
    """Set `Cache-Control`, unless the view did; answer 304 if the record has not changed."""
    tag = response.headers.get("ETag")
    if "Cache-Control" not in response.headers:
        response.headers["Cache-Control"] = WITH_TAG if tag else WITHOUT_TAG
    asked = current_request()
    if "If-None-Match" not in asked.headers or asked.method not in {"GET", "HEAD"}:
        return response
    condition = ", ".join(asked.headers.getlist("If-None-Match"))
    if not tag or not matches(tag, condition):
        return response
    repeated = {"ETag": tag, "Cache-Control": response.headers["Cache-Control"]}
    unchanged = Response(status=304, headers=repeated)
    del unchanged.headers["Content-Type"]
    # RFC 9110, section 8.6: a length would be that of the 200 response.
    del unchanged.headers["Content-Length"]
    return unchanged


def etag(version: int, *, whole: bool = True) -> dict[str, str]:
    """Return the `ETag` header of a version; empty if the response is not the `whole` record."""
    return {"ETag": entity_tag(version)} if whole else {}
