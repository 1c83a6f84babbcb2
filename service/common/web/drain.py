"""The drain: before it stops, the service answers as usual but closes each connection.

Without it, a proxy that reuses a connection which is being closed loses a request.
"""

from quart.wrappers import Response

from service.common.web.app import App


def begin_drain(app: App) -> None:
    """Fail `/readyz`, and close every connection after its next response."""
    if not app.is_draining:
        app.is_draining = True
        # Registered only now, so it costs nothing before; Quart's decorator works only at set-up.
        app.after_request_funcs[None].append(close_connection)


async def close_connection(response: Response) -> Response:
    """Announce that the connection is closed after this response."""
    response.headers["Connection"] = "close"
    return response
