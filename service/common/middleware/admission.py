"""Admission of a request whose body arrived after its head: it took no place while it was sent."""

from quart import current_app

from service.common.admission import MESSAGE
from service.common.exceptions import Unavailable
from service.common.middleware.connection import current_request


async def admit() -> None:
    """Wait until the request may be in progress. Raises Unavailable: that takes too long."""
    if not await current_app.extensions["admission"].enter(current_request().scope):
        raise Unavailable(MESSAGE)
