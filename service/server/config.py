"""hypercorn's configuration, and what the server's own parts need beyond it."""

import time
from collections.abc import Callable
from functools import lru_cache
from typing import Any
from wsgiref.handlers import format_date_time

from hypercorn.config import Config


class ServerConfig(Config):
    """hypercorn's settings, with a date that is formatted once per second."""

    # Observes the method, status, seconds and state of each request.
    measure: Callable[[str, int, float, dict[str, Any]], None] | None = None
    # The part of the requests with nothing unusual that are logged.
    access_log_sampling = 1.0

    def response_headers(self, protocol: str) -> list[tuple[bytes, bytes]]:
        """Return the headers of every response: only the date."""
        del protocol
        return [(b"date", _date(int(time.time())))]


@lru_cache(maxsize=1)
def _date(second: int) -> bytes:
    return format_date_time(second).encode()
