"""Body limits: 413 where a body is too large, 408 where it is too slow."""

from quart import Quart


def register(app: Quart, max_bytes: int, seconds: float) -> None:
    """Let Quart refuse a body of more than `max_bytes`, or one that takes longer than `seconds`."""
    app.config["MAX_CONTENT_LENGTH"] = max_bytes
    app.config["BODY_TIMEOUT"] = seconds
    # How long a client may take to read an answer.
    app.config["RESPONSE_TIMEOUT"] = seconds
