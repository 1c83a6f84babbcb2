"""The deadline: a request that takes too long is cancelled and answered 504.

It begins with the request, so a slow body leaves the view less time.
"""

import asyncio
from collections.abc import Awaitable
from typing import Any, TypeVar

from quart import Quart, current_app, g

from service.common.errors import DeadlineExceeded

Result = TypeVar("Result")


def register(app: Quart, seconds: float) -> None:
    """Give every request `seconds` until its view has returned."""
    dispatch = app.dispatch_request
    app.config["REQUEST_TIMEOUT"] = seconds

    async def note_deadline() -> None:
        g.deadline = asyncio.get_running_loop().time() + seconds

    async def dispatch_in_time(*args: Any) -> Any:
        return await in_time(dispatch(*args))

    app.before_request(note_deadline)
    # Quart has hooks before and after a view, but none around it.
    app.dispatch_request = dispatch_in_time  # type: ignore[assignment, method-assign]


async def in_time(work: Awaitable[Result]) -> Result:
    """Return the result of a part of the request. Raises DeadlineExceeded (504)."""
    try:
        async with asyncio.timeout_at(g.deadline) as limit:
            g.limit = limit
            return await work
    except TimeoutError as error:
        if not limit.expired():
            raise
        seconds = current_app.config["REQUEST_TIMEOUT"]
        raise DeadlineExceeded(f"The request took longer than {seconds:g} s.") from error


def lift_deadline() -> None:
    """Let this request take as long as it makes progress: it moves a file's worth of records."""
    g.deadline = None
    if "limit" in g:
        g.limit.reschedule(None)
