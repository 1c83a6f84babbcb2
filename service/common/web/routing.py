"""Routing: an unknown URL or method is answered before anything of the request is read."""

from typing import Any, cast
from urllib.parse import urlsplit

from quart import Quart
from quart.globals import request_ctx
from quart.wrappers import Response
from quart.wrappers.base import BaseRequestWebsocket
from werkzeug.routing import BaseConverter, MapAdapter

from service import limits
from service.common.web.connection import current_request


class RecordId(BaseConverter):
    """`<id:id>` in a rule: `0` or digits without a leading zero, in ASCII."""

    regex = "(?:0|[1-9][0-9]*)"

    def to_python(self, value: str) -> int:
        """Return the number; one that no table holds stays as large as that."""
        return int(value[: limits.RECORD_ID_DIGITS.value])


def register(app: Quart) -> None:
    """Answer 404, 405 and a plain OPTIONS; never redirect."""
    app.url_map.converters["id"] = RecordId
    app.url_map.merge_slashes = False
    app.before_request(check_route)

    def bind(asked: BaseRequestWebsocket | None) -> MapAdapter | None:
        if asked is None:
            return None
        # werkzeug takes `//foss` for `/foss`, and `%2F` is no `/`; no route is a space.
        odd = asked.scope["path"].startswith("//") or b"%2F" in asked.scope["raw_path"].upper()
        path = " " if odd else asked.path
        # Routing does not depend on the host, and a host may be any bytes.
        # As `Map.bind` makes it, which encodes the name of the host each time.
        return MapAdapter(app.url_map, "", "/", "", asked.scheme, path, asked.method)

    async def with_path(scope: Any, receive: Any, send: Any) -> None:
        if "path" in scope and not scope["path"].startswith("/"):
            scope = {**scope, "path": origin_form(scope["path"])}
        await asgi_app(scope, receive, send)

    asgi_app = app.asgi_app
    app.create_url_adapter = bind  # type: ignore[assignment, method-assign]  # Quart's way to change routing.
    app.asgi_app = with_path  # type: ignore[method-assign]  # Quart's way to add ASGI middleware.


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


def origin_form(target: str) -> str:
    """Return the path of a target that begins with no slash (RFC 9112, section 3.2).

    Where it is no absolute URL, that is one which no route has.
    """
    if target.startswith(("http://", "https://")):
        try:
            return urlsplit(target).path or "/"
        except ValueError:
            pass  # As `http://[`: no URL, and so no path that a route could have.
    return f"//{target}"
