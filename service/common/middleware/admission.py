"""Admission: a bound on the requests in progress; the others wait for a short time, then get 503.

Each step of a request runs after a step of all the others that can run. So with a thousand requests
in progress every answer takes as long as all of them together, and health checks fail.
"""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

from quart import current_app, g, has_request_context

from service import limits
from service.common.web import Admission, App, current_request

HEALTH = frozenset({"/livez", "/readyz"})
WAIT_SECONDS = limits.QUEUE_SECONDS.value
BUSY = "The service has more requests than it can answer. Try again shortly."


def register(app: App, pool_size: int) -> None:
    """Bound the requests in progress of a service with so many connections to its database."""
    app.extensions["admission"] = Admission(requests_in_progress(pool_size))
    # What follows the answer waits for the client alone.
    app.when_answered(leave)


def requests_in_progress(pool_size: int) -> int:
    """Return how many requests are in progress at most."""
    return max(limits.REQUESTS_IN_PROGRESS.value, 2 * pool_size)


async def admit() -> None:
    """Wait until the request may be in progress. Raises Unavailable: that takes too long.

    The `schemas` hook calls it, when the body has arrived: a client that is slow to send holds up
    nobody.
    """
    if current_request().path in HEALTH:
        return
    admission: Admission = current_app.extensions["admission"]
    await admission.enter(BUSY, WAIT_SECONDS)
    g.admission = admission


@contextmanager
def lent() -> Iterator[None]:
    """Wait for something else; meanwhile another request is in progress, if this one was."""
    admission: Admission | None = g.get("admission") if has_request_context() else None
    with nullcontext() if admission is None else admission.lent():
        yield


def leave() -> None:
    """Let another request in."""
    if "admission" in g:
        g.pop("admission").leave()
