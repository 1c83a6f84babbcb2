"""Refusals: what is answered, without the application, if the process has no room for a request."""

import asyncio

import orjson
import structlog

from service.common.exceptions import Unavailable

SECONDS = 1

log = structlog.get_logger("service")


def refusal(request_id: str, message: str) -> tuple[dict[str, str], bytes]:
    """Return headers and body of a 503. It has the one form that takes no time to choose."""
    error = Unavailable(message)
    body = orjson.dumps({"error": error.to_dict() | {"request_id": request_id}})
    headers = {
        "content-type": "application/json",
        "content-length": str(len(body)),
        "cache-control": "no-store",
        "retry-after": error.response_headers["Retry-After"],
        "vary": "Accept, Origin",
        "x-request-id": request_id,
    }
    return headers, body


class RefusalLog:
    """One line a second, with the number of refusals."""

    def __init__(self, cause: str) -> None:
        self._cause = cause
        self._count = 0

    def note(self) -> None:
        """Count one."""
        if not self._count:
            asyncio.get_running_loop().call_later(SECONDS, self._write)
        self._count += 1

    def _write(self) -> None:
        log.warning("Unavailable", status=503, count=self._count, cause=self._cause)
        self._count = 0
