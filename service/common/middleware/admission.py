"""Admission: a limit of requests in progress; others wait for a short time, then get 503.

The event loop runs a step of every ready request in turn. With a thousand requests in progress each
response takes as long as all of them together, and health checks fail.
"""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

from quart import g, has_request_context

from service import limits
from service.common.web import HEALTH_PATHS, Admission, App, current_application, current_request

WAIT_SECONDS = limits.QUEUE_SECONDS.value
OVERLOADED = "The service is overloaded. Try again shortly."
MANY_LARGE = "Many requests with large bodies are in progress. Try again shortly."


def register(app: App, pool_size: int) -> None:
    """Limit the requests in progress; `pool_size` is the number of database connections."""
    app.admission = Admission("REQUESTS_IN_PROGRESS", requests_in_progress(pool_size))
    # What follows the answer waits for the client alone.
    app.when_answered(leave)


def requests_in_progress(pool_size: int) -> int:
    """Return the maximum number of requests in progress."""
    return max(limits.REQUESTS_IN_PROGRESS.value, 2 * pool_size)


async def admit() -> None:
    """Wait for admission of the request. Raises Unavailable if that takes too long.

    The `schemas` hook calls it when the body has arrived: a slow sender delays no other client.
    """
    if current_request().path in HEALTH_PATHS:
        return
    admission = current_application().admission
    await admission.enter(OVERLOADED, WAIT_SECONDS)
    g.admission = admission


async def admit_large_body() -> None:
    """Wait until the body of the request may be parsed. Raises Unavailable as `admit` does."""
    large_bodies = current_application().large_bodies
    with suspended():
        await large_bodies.enter(MANY_LARGE, WAIT_SECONDS)
    g.large_bodies = large_bodies


@contextmanager
def suspended() -> Iterator[None]:
    """Leave while the request waits for something else, so that another one is admitted."""
    admission: Admission | None = g.get("admission") if has_request_context() else None
    with nullcontext() if admission is None else admission.suspended():
        yield


def leave() -> None:
    """Admit another request."""
    if "admission" in g:
        g.pop("admission").leave()
        if "large_bodies" in g:
            g.pop("large_bodies").leave()
