"""What the server reports of each request: a line of the access log, and the metrics."""

import logging
import random
from typing import Any, cast

import structlog
from hypercorn.config import Config
from hypercorn.logging import Logger
from hypercorn.typing import ResponseSummary, WWWScope

from service.common.errors import cut
from service.common.web import choose_request_id
from service.server.config import ServerConfig

# Set in the state of a request that the server has reported.
REPORTED = "access_reported"
# The key, in that state, of the trace that the request is part of.
TRACE_ID = "trace_id"
# What there is only of some requests: why they failed, and the trace.
OPTIONAL = ("error", "limit", TRACE_ID)
CLIENT_CLOSED_REQUEST = 499
# From this status, or this number of seconds on, every request is logged.
FIRST_ERROR = 400
SLOW_SECONDS = 1


class AccessLog(Logger):
    """Log one line per request, after the server has sent the last byte.

    Of those that are neither errors nor slow it may log a sample.
    """

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        own = cast("ServerConfig", config)
        self._measure, self._sampling = own.measure, own.access_log_sampling
        self.error_logger = logging.getLogger("hypercorn")
        # Bound once: `get_logger` returns a lazy proxy, which binds at each use.
        self._log = structlog.get_logger("access").bind()

    async def access(
        self, request: WWWScope, response: ResponseSummary | None, request_time: float
    ) -> None:
        """Log and measure a request; its status is 499 if the client has disconnected."""
        state: dict[str, Any] = request["state"]
        # hypercorn reports a request again if it is answered after the client has disconnected.
        if state.get(REPORTED):
            return
        state[REPORTED] = True
        method = str(request.get("method", "GET"))
        status = CLIENT_CLOSED_REQUEST if response is None else int(response["status"])
        if self._measure is not None:
            self._measure(method, status, request_time, state)
        is_usual = status < FIRST_ERROR and request_time < SLOW_SECONDS
        if is_usual and self._sampling < 1 and random.random() >= self._sampling:  # noqa: S311  # No secret.
            return
        more = {name: state[name] for name in OPTIONAL if name in state}
        self._log.info(
            "request",
            method=cut(method),
            path=cut(request["raw_path"].decode("ascii", "replace")),
            route=state.get("route", ""),
            status=status,
            milliseconds=round(request_time * 1000, 2),
            bytes=state.get("sent_bytes", 0),
            client=(request.get("client") or ("-",))[0],
            request_id=state.get("request_id") or _request_id(request),
            **more,
        )


def _request_id(request: WWWScope) -> str:
    """Return an id for a request whose client disconnected before the first hook ran."""
    inbound = dict(request.get("headers", ())).get(b"x-request-id", b"")
    return choose_request_id(inbound.decode("latin-1"))
