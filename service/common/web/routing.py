"""Routing: an unknown URL or method is answered before anything of the request is read."""

from typing import Any, cast
from urllib.parse import urlsplit

from quart import Quart
from quart.globals import request_ctx
from quart.wrappers import Response
from quart.wrappers.base import BaseRequestWebsocket
from werkzeug.routing import BaseConverter, MapAdapter

from service import limits
from service.common.web.request import current_request


class RecordId(BaseConverter):
    """`<id:id>` in a rule: `0` or digits without a leading zero, in ASCII."""

    regex = "(?:0|[1-9][0-9]*)"

    def to_python(self, value: str) -> int:
        """Return the number; one that no table holds stays as large as that."""
        return int(value[: limits.RECORD_ID_DIGITS.value])


def register(app: Quart) -> None:
    """Answer 404, 405 and a plain OPTIONS; never redirect."""
    app.before_request(check_route)


def path_to_route(asked: BaseRequestWebsocket) -> str:
    """Return the path that a route must match."""
    # werkzeug takes `//foss` for `/foss`, and `%2F` is no `/`; no route is a space.
    odd = asked.scope["path"].startswith("//") or b"%2F" in asked.scope["raw_path"].upper()
    return " " if odd else asked.path


async def check_route() -> Response | None:
    """Raise what routing found, or answer OPTIONS with the methods that the URL has."""
    asked = current_request()
    if asked.routing_exception is not None:
        raise asked.routing_exception
    if asked.method != "OPTIONS":
        return None
    response = Response(status=204)
    del response.headers["Content-Type"]
    response.headers["Allow"] = ", ".join(
        sorted(cast("MapAdapter", request_ctx.url_adapter).allowed_methods())
    )
    return response


def origin_form(scope: Any) -> Any:
    """Return the scope of a request whose target is a path (RFC 9112, section 3.2).

    Where the target is no absolute URL, that is one which no route has.
    """
    target = scope["path"]
    return scope if target.startswith("/") else {**scope, "path": _path_of(target)}


def _path_of(target: str) -> str:
    if target.startswith(("http://", "https://")):
        try:
            return urlsplit(target).path or "/"
        except ValueError:
            pass  # As `http://[`: no URL, and so no path that a route could have.
    return f"//{target}"
