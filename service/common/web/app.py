"""The application: where it differs from Quart's own, in the order of a request."""

import asyncio
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

from quart import Quart, g
from quart.wrappers.base import BaseRequestWebsocket
from werkzeug.routing import MapAdapter

from service.common.contract.validation import Schema, load_schemas
from service.common.database.sqlstates import is_stale_plan
from service.common.web import json_exceptions
from service.common.web.body_budget import Budget
from service.common.web.connection import NoSessions, OneTaskConnection
from service.common.web.deadline import in_time
from service.common.web.json_responses import OrjsonProvider
from service.common.web.prefix import without_prefix
from service.common.web.request import JSONRequest, current_request
from service.common.web.routing import RecordId, origin_form, path_to_route
from service.common.web.upgrade import as_http
from service.settings import Settings

SAFE_METHODS = frozenset({"GET", "HEAD"})


class App(Quart):
    """Quart for a JSON API: one task a request, no cookies, bounded bodies, a deadline."""

    asgi_http_class = OneTaskConnection
    request_class = JSONRequest
    json_provider_class = OrjsonProvider
    session_interface = NoSessions()  # type: ignore[assignment]  # Quart means any interface.

    def __init__(self, name: str, settings: Settings) -> None:
        super().__init__(name, static_folder=None)
        self.config["MAX_CONTENT_LENGTH"] = settings.max_body_bytes
        self.config["BODY_TIMEOUT"] = settings.request_timeout
        self.config["REQUEST_TIMEOUT"] = settings.request_timeout
        self.config["PATH_PREFIX"] = settings.path_prefix
        # Tests see what clients see: Quart would raise through the test client instead.
        self.config["PROPAGATE_EXCEPTIONS"] = False
        self.register_error_handler(Exception, json_exceptions.answer)
        self.url_map.converters["id"] = RecordId
        self.url_map.merge_slashes = False
        # What all bodies together may hold in memory.
        self.body_budget = Budget(settings.max_bodies_bytes)
        # Media types of bodies that are read as they arrive, and their limits in bytes.
        self.streamed_bodies: dict[str, int] = {}
        # The schema files that are published, by their paths.
        self.schemas: dict[str, Schema] = {}
        self._coroutine_of = lru_cache(super().ensure_async)

    def add_schemas(self, directory: Path) -> None:
        """Publish the schema files of a folder. Raises SchemaError."""
        self.schemas |= load_schemas(directory)

    async def asgi_app(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer what the server received; `OneTaskConnection` makes the request of it."""
        if scope["type"] == "websocket":
            scope, receive, send = as_http(scope, receive, send)
        if scope["type"] == "http":
            scope = without_prefix(origin_form(scope), self.config["PATH_PREFIX"], self.url_map)
        await super().asgi_app(scope, receive, send)

    def create_url_adapter(self, request: BaseRequestWebsocket | None) -> MapAdapter | None:
        """Return what finds the route: it does not depend on the host, which may be any bytes."""
        if request is None:
            return None
        # As `Map.bind` makes it, which encodes the name of the host each time.
        path = path_to_route(request)
        return MapAdapter(self.url_map, "", "/", "", request.scheme, path, request.method)

    async def full_dispatch_request(self, request_context: Any = None) -> Any:
        """Run the before-request hooks, the view and the after-request hooks."""
        g.deadline = asyncio.get_running_loop().time() + self.config["REQUEST_TIMEOUT"]
        return await super().full_dispatch_request(request_context)

    async def dispatch_request(self, request_context: Any = None) -> Any:
        """Call the view, until the deadline.

        A read that fails because a migration has changed its table is repeated once: PostgreSQL
        refuses a statement that was prepared before the type of a column changed, and SQLAlchemy
        then prepares all of them anew.
        """
        try:
            return await in_time(super().dispatch_request(request_context))
        except Exception as error:
            is_read = current_request().method in SAFE_METHODS and "session" not in g
            if not is_read or not is_stale_plan(error):
                raise
        return await in_time(super().dispatch_request(request_context))

    def ensure_async(self, func: Any) -> Callable[..., Any]:
        """Return a coroutine function; Quart looks at each hook at each request."""
        return self._coroutine_of(func)
