"""CORS: which web pages may call the service (the Fetch standard, section 3.2)."""

import re
from collections.abc import Collection

from quart import Quart
from quart.wrappers import Response

from service.common.web import current_request

# A header name (RFC 9110, section 5.6.2).
TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
ALLOWED_METHODS = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"
REQUEST_HEADERS = (
    "Authorization, Content-Type, If-Match, If-None-Match, Idempotency-Key, Prefer, X-API-Key,"
    " X-Request-ID, _secure_key"
)
OWN_HEADERS = frozenset(REQUEST_HEADERS.lower().split(", "))
EXPOSED_HEADERS = (
    "ETag, Idempotency-Replayed, Link, Location, Preference-Applied, Retry-After, X-Request-ID,"
    " X-Total-Count"
)
PREFLIGHT_SECONDS = "600"


def register(app: Quart, origins: Collection[str]) -> None:
    """Allow pages of these origins to call the service; `*` allows all origins."""
    everyone = "*" in origins

    async def answer_preflight() -> Response | None:
        asked = current_request()
        if asked.method != "OPTIONS" or "Access-Control-Request-Method" not in asked.headers:
            return None
        response = Response(status=204)
        del response.headers["Content-Type"]
        response.headers["Access-Control-Allow-Methods"] = ALLOWED_METHODS
        response.headers["Access-Control-Allow-Headers"] = allowed_headers(
            asked.headers.get("Access-Control-Request-Headers", "")
        )
        response.headers["Access-Control-Max-Age"] = PREFLIGHT_SECONDS
        return response

    async def send_headers(response: Response) -> Response:
        if not everyone:
            vary = response.headers.get("Vary")
            response.headers["Vary"] = f"{vary}, Origin" if vary else "Origin"
        origin = current_request().headers.get("Origin")
        if origin and (everyone or origin in origins):
            response.headers["Access-Control-Allow-Origin"] = "*" if everyone else origin
            response.headers["Access-Control-Expose-Headers"] = EXPOSED_HEADERS
        return response

    app.before_request(answer_preflight)
    app.after_request(send_headers)


def allowed_headers(asked: str) -> str:
    """Return the allowed request headers: the service's own, and those of the preflight.

    Tracing adds headers to each request of a page. Invalid names are omitted.
    """
    names = [name.strip() for name in asked.split(",")]
    more = [name for name in names if TOKEN.fullmatch(name) and name.lower() not in OWN_HEADERS]
    return ", ".join(dict.fromkeys([REQUEST_HEADERS, *more]))
