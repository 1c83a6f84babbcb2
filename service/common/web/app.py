"""The application: what it overrides of Quart, in the order of a request."""

import asyncio
from collections.abc import Callable
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, cast

from quart import Quart, current_app, g
from quart.wrappers import Response
from quart.wrappers.base import BaseRequestWebsocket
from werkzeug.routing import MapAdapter

from service import limits
from service.client import CLIENT, Addresses, network_of
from service.common.contract import Document, Schema, load_schemas
from service.common.database import Database, is_stale_plan
from service.common.web import json_exceptions
from service.common.web.admission import Admission
from service.common.web.bodies import body_budget
from service.common.web.connection import NoSessions, OneTaskConnection
from service.common.web.deadline import in_time
from service.common.web.json_responses import OrjsonProvider
from service.common.web.prefix import without_prefix
from service.common.web.request import JSONRequest, current_request
from service.common.web.routing import RecordId, is_public, origin_form, path_to_route, route_of
from service.common.web.turns import LongSteps, Turns
from service.common.web.upgrade import as_http
from service.settings import Settings

SAFE_METHODS = frozenset({"GET", "HEAD"})


class App(Quart):
    """Quart for a JSON API: one task per request, no cookies, limits of bodies, a deadline."""

    asgi_http_class = OneTaskConnection
    request_class = JSONRequest
    json_provider_class = OrjsonProvider
    session_interface = NoSessions()  # type: ignore[assignment]  # Quart accepts any interface.
    # Set by hooks: `middleware/admission` and `middleware/unit_of_work`.
    admission: Admission
    database: Database

    def __init__(self, name: str, settings: Settings) -> None:
        super().__init__(name, static_folder=None)
        self.config["MAX_CONTENT_LENGTH"] = settings.max_body_bytes
        self.config["BODY_TIMEOUT"] = settings.request_timeout
        self.config["REQUEST_TIMEOUT"] = settings.request_timeout
        self.config["PATH_PREFIX"] = settings.path_prefix
        self.settings = settings
        # Tests see the same responses as clients: Quart would raise in the test client instead.
        self.config["PROPAGATE_EXCEPTIONS"] = False
        self.register_error_handler(Exception, json_exceptions.answer)
        self.url_map.converters["id"] = RecordId
        self.url_map.merge_slashes = False
        # The memory for all bodies.
        self.body_budget = body_budget(settings.max_bodies_bytes)
        # The media types of streamed bodies, and their limits in bytes.
        self.streamed_bodies: dict[str, int] = {}
        # The schema files that are published, by their paths.
        self.schemas: dict[str, Schema] = {}
        # The contract's security schemes, one of which every view needs that is not public.
        self.security_schemes: dict[str, Document] = {}
        # What features add to the contract: functions that change the finished document.
        self.contract_additions: list[Callable[[Document], None]] = []
        # Makes the body of an error response.
        self.error_body = json_exceptions.envelope
        # Of requests that begin, or go on when their body has arrived.
        self.turns = Turns()
        self.long_steps = LongSteps(lambda: self.in_flight > 1)
        self.large_bodies = Admission(
            "LARGE_BODIES", limits.LARGE_BODIES.value, share=limits.client_quarter
        )
        # Whether the service is about to stop.
        self.is_draining = False
        self._addresses = Addresses(settings.trusted_proxies)
        # The number of requests in progress, for the metrics.
        self.in_flight = 0
        self._coroutine_of = lru_cache(super().ensure_async)

    @cached_property
    def public_paths(self) -> frozenset[str]:
        """The paths of the views that are declared `public`."""
        rules = self.url_map.iter_rules()
        views = self.view_functions
        return frozenset(rule.rule for rule in rules if is_public(views[rule.endpoint]))

    def when_answered(self, release: Callable[[], None]) -> None:
        """Call `release` when the answer is made, and when the request ends; it may be repeated."""

        async def after_request(response: Response) -> Response:
            release()
            return response

        async def teardown(error: BaseException | None) -> None:
            del error
            release()

        self.after_request(after_request)
        self.teardown_request(teardown)

    def add_schemas(self, directory: Path) -> None:
        """Publish the schema files of a folder. Raises SchemaError."""
        self.schemas |= load_schemas(directory)

    def add_url_rule(self, rule: str, *args: Any, **options: Any) -> None:
        """Add a route. Raises ValueError if werkzeug would redirect to it."""
        if rule.endswith("/") and rule != "/":
            raise ValueError(f"`{rule}`: leave out the slash at the end of the route.")
        super().add_url_rule(rule, *args, **options)

    async def asgi_app(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer a request of the server; `OneTaskConnection` creates it from the scope."""
        if scope["type"] == "websocket":
            scope, receive, send = as_http(scope, receive, send)
        if scope["type"] == "http":
            address = self._addresses.address_of(scope)
            if address and address != (scope.get("client") or ("",))[0]:
                # Also in the scope of the server, for its access log. The port is not known.
                scope["client"] = address, 0
            CLIENT.set(network_of(address))
            scope = without_prefix(origin_form(scope), self.config["PATH_PREFIX"], self.url_map)
            self.in_flight += 1
        try:
            await super().asgi_app(scope, receive, send)
        finally:
            self.in_flight -= scope["type"] == "http"

    def create_url_adapter(self, request: BaseRequestWebsocket | None) -> MapAdapter | None:
        """Return an adapter that ignores the host, which may be any bytes."""
        if request is None:
            return None
        # `Map.bind` would encode the host name each time.
        path = path_to_route(request)
        return MapAdapter(self.url_map, "", "/", "", request.scheme, path, request.method)

    async def full_dispatch_request(self, request_context: Any = None) -> Any:
        """Run the before-request hooks, the view and the after-request hooks."""
        g.deadline = asyncio.get_running_loop().time() + self.config["REQUEST_TIMEOUT"]
        asked = current_request()
        # For the server's access log and metrics.
        cast("dict[str, Any]", asked.scope).setdefault("state", {})["route"] = route_of(asked)
        await self.turns.take()
        return await super().full_dispatch_request(request_context)

    async def dispatch_request(self, request_context: Any = None) -> Any:
        """Call the view, until the deadline.

        A read that fails because a migration has changed its table is repeated once: PostgreSQL
        rejects a statement that was prepared before the type of a column changed, and SQLAlchemy
        then prepares all of them again.
        """
        try:
            return await in_time(super().dispatch_request(request_context))
        except Exception as error:
            is_read = current_request().method in SAFE_METHODS and "session" not in g
            if not is_read or not is_stale_plan(error):
                raise
        return await in_time(super().dispatch_request(request_context))

    def ensure_async(self, func: Any) -> Callable[..., Any]:
        """Return a coroutine function, cached: Quart inspects each hook at each request."""
        return self._coroutine_of(func)


def current_application() -> App:
    """Return the application of the request."""
    return cast("App", current_app)
