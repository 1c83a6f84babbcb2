"""The drain: before it stops, the service answers as always, but closes each connection.

A proxy that reuses a connection which is just being closed loses a request; so it is told.
"""

from quart import Quart, current_app
from quart.wrappers import Response


def begin_drain(app: Quart) -> None:
    """Fail `/readyz`, and close every connection after its next answer."""
    if not app.extensions.get("draining"):
        app.extensions["draining"] = True
        # Registered only now, it costs nothing before; the decorator is for the set-up alone.
        app.after_request_funcs[None].append(close_connection)


async def close_connection(response: Response) -> Response:
    """Say that no further request is read from this connection."""
    response.headers["Connection"] = "close"
    return response


def is_draining() -> bool:
    """Return whether the service is about to stop."""
    return bool(current_app.extensions.get("draining"))
