"""The access log: one line a request."""

import logging

import structlog
from hypercorn.config import Config
from hypercorn.logging import Logger
from hypercorn.typing import ResponseSummary, WWWScope

from service.common.errors import cut
from service.common.web import choose_request_id

# In the state of a request: it has its line in the access log.
LOGGED = "access_logged"


class AccessLog(Logger):
    """Log one line a request, where the server has sent the last byte."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.error_logger = logging.getLogger("hypercorn")
        # Bound once: what `get_logger` returns is made anew at each use.
        self._log = structlog.get_logger("access").bind()

    async def access(
        self, request: WWWScope, response: ResponseSummary | None, request_time: float
    ) -> None:
        """Log method, path as it was sent, status and duration; 499 if the client left."""
        state = request["state"]
        # hypercorn reports a request again if its answer is made after the client has left.
        if state.get(LOGGED):
            return
        state[LOGGED] = True
        self._log.info(
            "request",
            method=request.get("method", "GET"),
            path=cut(request["raw_path"].decode("ascii", "replace")),
            status=499 if response is None else response["status"],
            milliseconds=round(request_time * 1000, 2),
            client=(request.get("client") or ("-",))[0],
            request_id=state.get("request_id") or _name(request),
        )


def _name(request: WWWScope) -> str:
    """Return an id for a request whose client left before the first hook ran."""
    inbound = dict(request.get("headers", ())).get(b"x-request-id", b"")
    return choose_request_id(inbound.decode("latin-1"))
