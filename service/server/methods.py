"""The methods by which requests are told apart."""

# Others are `_OTHER`, as in OpenTelemetry's semantic conventions: a client can send any method.
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


def known_method(method: str) -> str:
    """Return a usual method, or `_OTHER`."""
    return method if method in METHODS else "_OTHER"
