"""The path prefix below which a proxy publishes the service: the URLs that it hands out have it.

It comes from the settings alone: a header could be any client's. Requests are answered with and
without it, so that such a URL works too if the service is asked directly, or by a proxy that does
not strip the prefix.
"""

from typing import Any

from quart import Quart, current_app
from werkzeug.routing import MapAdapter


def register(app: Quart, prefix: str) -> None:
    """Answer below the prefix too."""
    app.config["PATH_PREFIX"] = prefix
    if not prefix:
        return
    asgi_app = app.asgi_app
    routes = MapAdapter(app.url_map, "", "/", "", "http", "/", "GET")

    async def without_prefix(scope: Any, receive: Any, send: Any) -> None:
        path = scope.get("path", "")
        # If the prefix is the name of a route too, the proxy has stripped it.
        if path.startswith(f"{prefix}/") and not routes.allowed_methods(path):
            raw_path = scope["raw_path"].removeprefix(prefix.encode())
            scope = {**scope, "path": path.removeprefix(prefix), "raw_path": raw_path}
        await asgi_app(scope, receive, send)

    app.asgi_app = without_prefix  # type: ignore[method-assign]  # Quart's way to wrap it.


def public_path(path: str) -> str:
    """Return a path of the service as its clients see it."""
    prefix: str = current_app.config["PATH_PREFIX"]
    return prefix + path
