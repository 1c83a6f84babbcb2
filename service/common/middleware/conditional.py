"""Conditional requests (RFC 9110, section 13): ETag, If-None-Match, If-Match."""

from quart import Quart
from quart.wrappers import Response

from service.common.entity_tags import entity_tag, matches
from service.common.middleware.connection import current_request


def register(app: Quart) -> None:
    """Answer 304 where the client has the current representation."""
    app.after_request(check_if_none_match)


async def check_if_none_match(response: Response) -> Response:
    """Turn a 200 into a 304 where `If-None-Match` names its entity tag."""
    asked = current_request()
    if "If-None-Match" not in asked.headers or asked.method not in {"GET", "HEAD"}:
        return response
    condition = ", ".join(asked.headers.getlist("If-None-Match"))
    tag = response.headers.get("ETag")
    if not tag:
        return response
    if not matches(tag, condition):
        return response
    unchanged = Response(status=304, headers={"ETag": tag})
    del unchanged.headers["Content-Type"]
    # RFC 9110, section 8.6: a length here would be that of the 200.
    del unchanged.headers["Content-Length"]
    return unchanged


def etag(version: int, *, whole: bool = True) -> dict[str, str]:
    """Return the header that names a version of a record; none for a part of it."""
    return {"ETag": entity_tag(version)} if whole else {}
