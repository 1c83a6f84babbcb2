"""The path prefix below which a proxy publishes the service: part of the URLs in responses.

It is a setting, never taken from a header, which any client could send. Requests are answered with
and without it, so that such URLs also work directly, or through a proxy that does not strip it.
"""

from typing import Any

from quart import current_app
from werkzeug.routing import Map, MapAdapter


def without_prefix(scope: Any, prefix: str, routes: Map) -> Any:
    """Return the scope of a request without the prefix, if its path has it."""
    path = scope["path"]
    if not prefix or not path.startswith(f"{prefix}/"):
        return scope
    # If the path is that of a route too, the proxy has stripped the prefix.
    if MapAdapter(routes, "", "/", "", "http", "/", "GET").allowed_methods(path):
        return scope
    raw_path = scope["raw_path"].removeprefix(prefix.encode())
    return {**scope, "path": path.removeprefix(prefix), "raw_path": raw_path}


def public_path(path: str) -> str:
    """Return a path of the service as its clients see it."""
    prefix: str = current_app.config["PATH_PREFIX"]
    return prefix + path
