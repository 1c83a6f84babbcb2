"""The deadline: a request that takes too long is cancelled and answered 504.

It begins with the request, so a slow body leaves the view less time.
"""

import asyncio
from typing import Any

from quart import Quart, g

from service.common.exceptions import DeadlineExceeded


def register(app: Quart, seconds: float) -> None:
    """Give every request `seconds` until its view has returned."""
    dispatch = app.dispatch_request

    async def note_deadline() -> None:
        g.deadline = asyncio.get_running_loop().time() + seconds

    async def dispatch_in_time(*args: Any) -> Any:
        try:
            async with asyncio.timeout_at(g.deadline) as limit:
                g.limit = limit
                return await dispatch(*args)
        except TimeoutError as error:
            if not limit.expired():
                raise
            raise DeadlineExceeded(f"The request took longer than {seconds:g} s.") from error

    app.before_request(note_deadline)
    # Quart has hooks before and after a view, but none around it.
    app.dispatch_request = dispatch_in_time  # type: ignore[assignment, method-assign]


def lift_deadline() -> None:
    """Let this request take as long as it makes progress: it moves a file's worth of records."""
    g.limit.reschedule(None)
