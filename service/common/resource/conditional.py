"""Conditional requests (RFC 9110, section 13), and who may keep an answer (RFC 9111)."""

from quart import Quart
from quart.wrappers import Response

from service.common.errors import Fault, InvalidAPIRequest
from service.common.resource.entity_tags import MAX_TAGS, entity_tag, has_too_many_tags, matches
from service.common.web import current_request

# An answer that can be asked for again by its tag is kept by its client alone, no other at all.
WITH_TAG = "private, no-cache"
WITHOUT_TAG = "no-store"


def register(app: Quart) -> None:
    """Answer 304 if the client has the current representation, and say who may keep an answer."""
    app.before_request(check_tags)
    app.after_request(send_validators)


async def check_tags() -> None:
    """Raise InvalidAPIRequest (422) if a precondition names too many tags."""
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
    """Say who may keep an answer, unless its view did; answer 304 if it has not changed."""
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
    # RFC 9110, section 8.6: a length here would be that of the 200.
    del unchanged.headers["Content-Length"]
    return unchanged


def etag(version: int, *, whole: bool = True) -> dict[str, str]:
    """Return the header that names a version of a record; none for a part of it."""
    return {"ETag": entity_tag(version)} if whole else {}
