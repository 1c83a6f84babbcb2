"""Detection of health checks, which are answered under load too."""

import re

from service.common.web import HEALTH_PATHS
from service.server.refused_connections import BODY

# A health check with a longer head waits like any request.
CHECK_BYTES = 1 << 12
END_OF_HEAD = re.compile(rb"\n\r?\n")


class HealthChecks:
    """The health checks, also below the path `prefix`."""

    def __init__(self, prefix: str) -> None:
        self._begins = tuple(
            f"{method} {below}{path}{end}".encode()
            for method in ("GET", "HEAD")
            for below in dict.fromkeys(("", prefix))
            for path in HEALTH_PATHS
            for end in (" ", "?")
        )

    def asks(self, begin: bytes) -> bool | None:
        """Return whether a request with this beginning is a health check; None: not known yet.

        A request with a body is not one: the body could take long to arrive.
        """
        if not begin.startswith(self._begins):
            may_be = any(known.startswith(begin) for known in self._begins)
            return None if may_be else False
        if not END_OF_HEAD.search(begin):
            return None
        return not BODY.search(begin)
