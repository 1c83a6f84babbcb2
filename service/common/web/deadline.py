"""The deadline: a request that takes too long is cancelled and answered 504.

It begins with the request (`App.full_dispatch_request`), so a slow body leaves the view less time.
"""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from quart import current_app, g

from service.common.errors import DeadlineExceeded
from service.metrics import count_limit

Result = TypeVar("Result")


async def in_time(work: Awaitable[Result]) -> Result:
    """Return the result of a part of the request. Raises DeadlineExceeded (504)."""
    try:
        async with asyncio.timeout_at(g.deadline) as limit:
            g.limit = limit
            return await work
    except TimeoutError as error:
        if not limit.expired():
            raise
        count_limit("REQUEST_SECONDS")
        seconds = current_app.config["REQUEST_TIMEOUT"]
        raise DeadlineExceeded(
            f"The request took longer than {seconds:g} s.", limit="REQUEST_SECONDS"
        ) from error


def lift_deadline() -> None:
    """Remove the deadline of an import or export, which may take as long as it makes progress."""
    g.deadline = None
    if "limit" in g:
        g.limit.reschedule(None)
