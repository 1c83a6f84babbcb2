"""Server-Timing: what a response took, for a client that asks by `Prefer: server-timing`."""

from time import perf_counter

from quart import Quart, g
from quart.wrappers import Response

from service.common.web import current_request
from service.observed import OBSERVED, Observed

PREFERENCE = "server-timing"
SERVER_TIMING = "Server-Timing"
EXPOSED = "Access-Control-Expose-Headers"


def register(app: Quart, *, enabled: bool) -> None:
    """Measure the requests that ask for it, if it is enabled."""
    if enabled:
        app.before_request(begin)
        app.after_request(send)


async def begin() -> None:
    """Observe the request if its client asks for it."""
    preferences = ",".join(current_request().headers.getlist("Prefer")).split(",")
    if PREFERENCE not in (one.partition(";")[0].strip().lower() for one in preferences):
        return
    # It is observed already if it is in a trace.
    [observed] = OBSERVED.get() or (Observed(),)
    OBSERVED.set((observed,))
    g.timing = perf_counter(), observed


async def send(response: Response) -> Response:
    """Add the milliseconds until now, and of these the database's and the wait for it."""
    if "timing" not in g:
        return response
    since, observed = g.timing
    seconds = {
        "app": perf_counter() - since,
        "db": observed.database_seconds,
        "pool": observed.pool_seconds,
    }
    response.headers[SERVER_TIMING] = ", ".join(
        f"{name};dur={value * 1000:.1f}" for name, value in seconds.items()
    )
    if EXPOSED in response.headers:
        response.headers[EXPOSED] += f", {SERVER_TIMING}"
    return response
