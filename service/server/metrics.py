"""What the server measures: requests, the event loop, and its state at a scrape."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from functools import cache, partial
from typing import Any

from service.common.database import Work, WorkPool, known_revisions
from service.common.web import App, routes_of
from service.metrics import (
    ACTIVE_BULK_TRANSFERS,
    ACTIVE_REQUESTS,
    BUFFERED_BYTES,
    BUILD,
    CLASSES,
    CLIENT_CONNECTIONS,
    CONNECTION_TIMEOUTS,
    DRAINING,
    EVENT_LOOP_LAG_SECONDS,
    MOST_CONNECTIONS,
    PENDING_REQUESTS,
    POOLED_CONNECTIONS,
    REQUEST_BYTES,
    REQUEST_DURATION,
    RESPONSE_BYTES,
    RESPONSES,
)
from service.server.config import ServerConfig
from service.server.connections import Connections
from service.server.methods import known_method

LAG_INTERVAL_SECONDS = 0.25


def measure(app: App, connections: Connections, config: ServerConfig) -> None:
    """Observe requests and the event loop, and let gauges show the state at a scrape."""
    config.measure = measure_request
    # So that each is 0 from the start.
    for route in routes_of(app):
        for status_class in CLASSES:
            RESPONSES.labels(route, status_class)
    for work in Work:
        CONNECTION_TIMEOUTS.labels(work)
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
    DRAINING.set_function(lambda: app.is_draining)
    CLIENT_CONNECTIONS.labels("served").set_function(connections.served)
    CLIENT_CONNECTIONS.labels("waiting").set_function(connections.waiting)
    for work in Work:
        gauges = {
            POOLED_CONNECTIONS.labels(work, "used"): WorkPool.checkedout,
            POOLED_CONNECTIONS.labels(work, "idle"): WorkPool.checkedin,
            MOST_CONNECTIONS.labels(work): WorkPool.most,
            PENDING_REQUESTS.labels(work): _waiting,
        }
        for gauge, state in gauges.items():
            gauge.set_function(partial(_of_pool, app, work, state))


def _waiting(pool: WorkPool) -> int:
    return pool.waiting


def _of_pool(app: App, work: Work, state: Callable[[WorkPool], int]) -> int:
    """Return the state of a pool: 0 until it is opened."""
    pool = app.database.pools().get(work)
    return 0 if pool is None else state(pool)


def measure_request(method: str, status: int, seconds: float, state: dict[str, Any]) -> None:
    """Observe a request, with what the application has noted in its `state`."""
    route = state.get("route", "")
    duration, responses, received, sent = _metrics(known_method(method), route, status)
    duration.observe(seconds)
    responses.inc()
    sent.observe(state.get("sent_bytes", 0))
    if "received_bytes" in state:
        received.observe(state["received_bytes"])


@cache
def _metrics(method: str, route: str, status: int) -> tuple[Any, Any, Any, Any]:
    # Without a limit of its size: the numbers of methods, routes and statuses are fixed.
    return (
        REQUEST_DURATION.labels(method, route, status),
        RESPONSES.labels(route, f"{status // 100}xx"),
        REQUEST_BYTES.labels(route),
        RESPONSE_BYTES.labels(route),
    )


async def watch_event_loop() -> None:
    """Observe how late the event loop runs a callback, until it is cancelled."""
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + LAG_INTERVAL_SECONDS
        await asyncio.sleep(LAG_INTERVAL_SECONDS)
        EVENT_LOOP_LAG_SECONDS.observe(max(0, loop.time() - due))
