"""The content type: a body is JSON, or another media type that the view reads; else 415."""

from typing import cast

from quart import Quart, current_app, request
from quart.wrappers import Request

from service import limits
from service.common.contract import JSON, MORE_CONTENT, REQUEST
from service.common.errors import InvalidContentType
from service.common.web import announces_body, current_request

CONTENT_TYPE_BYTES = limits.CONTENT_TYPE_BYTES.value
# RFC 7396: a partial update, which is what PUT and PATCH do here.
MERGE_PATCH = "application/merge-patch+json"


def register(app: Quart) -> None:
    """Check the media type of every request that has a body."""
    app.before_request(check_content_type)


async def check_content_type() -> None:
    """Raise InvalidContentType if the view does not read the body's media type."""
    asked = current_request()
    if not has_body(asked):
        return
    if len(asked.headers.get("Content-Type", "")) > CONTENT_TYPE_BYTES:
        raise InvalidContentType(
            f"Invalid content-type. It is longer than {CONTENT_TYPE_BYTES} bytes."
        )
    given = asked.mimetype
    allowed: tuple[str, ...] = (JSON, MERGE_PATCH) if asked.method == "PATCH" else (JSON,)
    if given not in allowed:
        # Only here, because most bodies are JSON.
        allowed += more_media_types()
    if given not in allowed or len(asked.headers.getlist("Content-Type")) > 1:
        names = f"`{'`, `'.join(allowed)}` {'is' if len(allowed) == 1 else 'are'} allowed."
        raise InvalidContentType(f"Invalid content-type. Only {names}")
    codings = asked.headers.getlist("Content-Encoding")
    if any(coding.lower() != "identity" for coding in codings):
        raise InvalidContentType("Invalid content-encoding. Only `identity` is allowed.")


def more_media_types() -> tuple[str, ...]:
    """Return the media types that the view reads in addition to JSON."""
    view = current_app.view_functions[cast("str", request.endpoint)]
    return tuple(getattr(view, MORE_CONTENT, {}).get(REQUEST, ()))


def has_body(asked: Request) -> bool:
    """Return whether the request has a body (RFC 9112, section 6; RFC 9113, section 8.1)."""
    if not announces_body(asked):
        return False
    if "Content-Length" in asked.headers or "Transfer-Encoding" in asked.headers:
        return asked.content_length != 0 or "Transfer-Encoding" in asked.headers
    # HTTP/2 need not announce a body.
    return asked.method in {"POST", "PUT", "PATCH"}
