"""What the server measures: requests, the event loop, and its state at a scrape."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from functools import cache
from typing import Any

from hypercorn.config import Config

from service.common.database import Work, WorkPool, known_revisions
from service.common.web import App
from service.metrics import (
    ACTIVE_BULK_TRANSFERS,
    ACTIVE_REQUESTS,
    BUFFERED_BYTES,
    BUILD,
    CLIENT_CONNECTIONS,
    DRAINING,
    EVENT_LOOP_LAG_SECONDS,
    MOST_CONNECTIONS,
    PENDING_REQUESTS,
    POOLED_CONNECTIONS,
    REQUEST_BYTES,
    REQUEST_SECONDS,
    RESPONSE_BYTES,
)
from service.server.access_log import AccessLog
from service.server.connections import Connections
from service.server.methods import known_method

LAG_INTERVAL_SECONDS = 0.25


def measure(app: App, connections: Connections, config: Config) -> None:
    """Observe requests and the event loop, and let gauges show the state at a scrape."""
    config.logger_class = MeasuredLog
    show_state(app, connections)

    @app.while_serving
    async def lag() -> AsyncGenerator[None, None]:
        task = asyncio.create_task(watch_event_loop())
        yield
        task.cancel()


def show_state(app: App, connections: Connections) -> None:
    """Let the gauges show the state at the time of a scrape, which is on another thread."""
    for revision in known_revisions()[1]:
        BUILD.labels(revision).set(1)
    ACTIVE_REQUESTS.set_function(lambda: app.in_flight)
    ACTIVE_BULK_TRANSFERS.set_function(lambda: len(app.database.transfers))
    BUFFERED_BYTES.set_function(lambda: app.body_budget.held)
    DRAINING.set_function(lambda: bool(app.extensions.get("draining")))
    CLIENT_CONNECTIONS.labels("served").set_function(connections.served)
    CLIENT_CONNECTIONS.labels("waiting").set_function(connections.waiting)
    for work in Work:
        pool = _PoolState(app, work)
        POOLED_CONNECTIONS.labels(work, "used").set_function(pool.used)
        POOLED_CONNECTIONS.labels(work, "idle").set_function(pool.idle)
        MOST_CONNECTIONS.labels(work).set_function(pool.most)
        PENDING_REQUESTS.labels(work).set_function(pool.waiting)


class _PoolState:
    """The state of the connections for a kind of work: zeros until they are opened."""

    def __init__(self, app: App, work: Work) -> None:
        self._app, self._work = app, work

    def used(self) -> int:
        return self._of(WorkPool.checkedout)

    def idle(self) -> int:
        return self._of(WorkPool.checkedin)

    def most(self) -> int:
        return self._of(WorkPool.most)

    def waiting(self) -> int:
        return self._of(lambda pool: pool.waiting)

    def _of(self, state: Callable[[WorkPool], int]) -> int:
        pool = self._app.database.pools().get(self._work)
        return 0 if pool is None else state(pool)


def measure_request(method: str, status: int, seconds: float, state: dict[str, Any]) -> None:
    """Observe a request, with what the application has noted in its `state`."""
    route = state.get("route", "")
    duration, received, sent = _histograms(known_method(method), route, status)
    duration.observe(seconds)
    sent.observe(state.get("sent_bytes", 0))
    if "received_bytes" in state:
        received.observe(state["received_bytes"])


class MeasuredLog(AccessLog):
    """The access log, which also observes each request."""

    measure = staticmethod(measure_request)


@cache
def _histograms(method: str, route: str, status: int) -> tuple[Any, Any, Any]:
    # Not bounded: there are only so many routes and statuses.
    duration = REQUEST_SECONDS.labels(method, route, status)
    return duration, REQUEST_BYTES.labels(route), RESPONSE_BYTES.labels(route)


async def watch_event_loop() -> None:
    """Observe how late the event loop runs a callback, until it is canceled."""
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + LAG_INTERVAL_SECONDS
        await asyncio.sleep(LAG_INTERVAL_SECONDS)
        EVENT_LOOP_LAG_SECONDS.observe(max(0, loop.time() - due))
