"""Routing: an unknown URL or method is answered before anything of the request is read."""

from quart import Quart, request
from quart.wrappers import Response
from werkzeug.routing import BaseConverter

# A hundred digits are far beyond a bigint, and more than any message quotes.
MAX_DIGITS = 100


class RecordId(BaseConverter):
    """`<id:id>` in a rule: `0` or digits without a leading zero, in ASCII."""

    regex = "(?:0|[1-9][0-9]*)"

    def to_python(self, value: str) -> int:
        """Return the number; one that no table holds stays as large as that."""
        return int(value[:MAX_DIGITS])


def register(app: Quart) -> None:
    """Answer 404, 405 and a plain OPTIONS; never redirect."""
    app.url_map.converters["id"] = RecordId
    app.url_map.merge_slashes = False
    app.url_map.strict_slashes = True
    app.before_request(check_route)


async def check_route() -> Response | None:
    """Raise what routing found, or answer OPTIONS with the methods that the URL has."""
    if request.routing_exception is not None:
        raise request.routing_exception
    if request.method != "OPTIONS" or request.url_rule is None:
        return None
    methods = ", ".join(sorted(request.url_rule.methods or ()))
    return Response(status=204, headers={"Allow": methods})
