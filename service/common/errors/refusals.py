"""Refusals: answers that the server writes itself, without the application."""

import asyncio

import orjson
import structlog

from service.common.errors.exceptions import JSONException

LOG_SECONDS = 1

log = structlog.get_logger("service")


def refusal(error: JSONException, request_id: str) -> tuple[dict[str, str], bytes]:
    """Return headers and body of an error, as the envelope whatever the client accepts."""
    body = orjson.dumps({"error": error.to_dict() | {"request_id": request_id}})
    headers = {
        "content-type": "application/json",
        "content-length": str(len(body)),
        "cache-control": "no-store",
        "vary": "Accept, Origin",
        "x-request-id": request_id,
        "connection": "close",
    }
    headers |= {name.lower(): value for name, value in error.response_headers.items()}
    return headers, body


class RefusalLog:
    """One line a second, with the number of refusals."""

    def __init__(self, cause: str) -> None:
        self._cause = cause
        self._count = 0

    def note(self) -> None:
        """Count one."""
        if not self._count:
            asyncio.get_running_loop().call_later(LOG_SECONDS, self._write)
        self._count += 1

    def _write(self) -> None:
        log.warning("Unavailable", status=503, count=self._count, cause=self._cause)
        self._count = 0
