"""Routing: an unknown URL or method is answered before the request is read."""

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any, TypeVar, cast
from urllib.parse import urlsplit

from quart import Quart
from quart.globals import request_ctx
from quart.wrappers import Response
from quart.wrappers.base import BaseRequestWebsocket
from werkzeug.routing import BaseConverter, MapAdapter

from service import limits
from service.common.web.request import current_request

V = TypeVar("V", bound=Callable[..., Any])
# A parameter of a rule, such as `<id:id>`.
PARAMETER = re.compile(r"<(?:[^:<>]+:)?([^<>]+)>")
# The attribute of a public view.
PUBLIC = "is_public"
# The health checks, which are answered under load too.
LIVE_PATH, READY_PATH = HEALTH_PATHS = ("/livez", "/readyz")


class RecordId(BaseConverter):
    """`<id:id>` in a rule: `0` or digits without a leading zero, in ASCII."""

    regex = "(?:0|[1-9][0-9]*)"

    def to_python(self, value: str) -> int:
        """Return the number, from the first digits: one beyond bigint stays beyond bigint."""
        return int(value[: limits.RECORD_ID_DIGITS.value])


def public(view: V) -> V:
    """Declare that a view needs no key, and ignores the query string."""
    setattr(view, PUBLIC, True)
    return view


def is_public(view: object) -> bool:
    """Return whether a view is declared `public`."""
    return getattr(view, PUBLIC, False)


def register(app: Quart) -> None:
    """Answer 404, 405 and a plain OPTIONS; never redirect."""
    app.before_request(check_route)


def path_to_route(asked: BaseRequestWebsocket) -> str:
    """Return the path that a route must match."""
    # werkzeug reads `//foss` as `/foss`, and `%2F` as `/`; a space matches no route.
    odd = asked.scope["path"].startswith("//") or b"%2F" in asked.scope["raw_path"].upper()
    return " " if odd else asked.path


def route_of(asked: BaseRequestWebsocket) -> str:
    """Return the route of a request as in the contract, `/foss/{id}`; empty if none matches."""
    return "" if asked.url_rule is None else _template(asked.url_rule.rule)


def routes_of(app: Quart) -> set[str]:
    """Return every value of `route_of`."""
    return {"", *(_template(rule.rule) for rule in app.url_map.iter_rules())}


@lru_cache
def _template(rule: str) -> str:
    return PARAMETER.sub(r"{\1}", rule)


async def check_route() -> Response | None:
    """Raise the routing error, or answer OPTIONS with the methods of the URL."""
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
    """Return the scope with the target in origin form (RFC 9112, section 3.2).

    A target that is neither a path nor an absolute URL becomes a path that matches no route.
    """
    target = scope["path"]
    return scope if target.startswith("/") else {**scope, "path": _path_of(target)}


def _path_of(target: str) -> str:
    if target.startswith(("http://", "https://")):
        try:
            return urlsplit(target).path or "/"
        except ValueError:
            pass  # Not a URL, such as `http://[`: no route matches it.
    return f"//{target}"
