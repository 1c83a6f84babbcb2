"""The request."""

from quart import request as request_proxy
from quart.wrappers import Request
from werkzeug.utils import cached_property

from service.common.contract import Payload, StreamedPayload


class JSONRequest(Request):
    """A request; see `bodies` for its body.

    The schemas hook sets `payload`, from the body, and `declared_headers`, from the header fields
    that the view declares; the hook of bulk imports sets the `payload` of an import.
    """

    payload: Payload | StreamedPayload | None = None
    declared_headers: Payload | None = None

    @cached_property
    def blueprints(self) -> list[str]:
        """Look up the blueprints that the request is for, once."""
        return super().blueprints


def current_request() -> JSONRequest:
    """Return the request itself: the proxy `quart.request` looks it up at each use."""
    current: JSONRequest = request_proxy._get_current_object()  # type: ignore[attr-defined]  # noqa: SLF001  # werkzeug's name for it.
    return current


def announces_body(request: Request) -> bool:
    """Return whether a body may follow (RFC 9112, section 6.3); HTTP/2 need not announce it."""
    headers = request.headers
    return (
        "Content-Length" in headers
        or "Transfer-Encoding" in headers
        or request.http_version not in {"1.0", "1.1"}
    )
