"""The deadline: a request whose view takes too long is cancelled and answered 504."""

import asyncio
from typing import Any

from quart import Quart

from service.common.exceptions import DeadlineExceeded


def register(app: Quart, seconds: float) -> None:
    """Give every view `seconds` to return."""
    dispatch = app.dispatch_request

    async def dispatch_in_time(*args: Any) -> Any:
        try:
            async with asyncio.timeout(seconds) as limit:
                return await dispatch(*args)
        except TimeoutError as error:
            if not limit.expired():
                raise
            raise DeadlineExceeded(f"The request took longer than {seconds:g} s.") from error

    # Quart has hooks before and after a view, but none around it.
    app.dispatch_request = dispatch_in_time  # type: ignore[assignment, method-assign]
