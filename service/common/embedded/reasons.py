"""Messages for a server that did not start."""

import os
import re
from pathlib import Path

from service.common.embedded.programs import EmbeddedPostgresError


def written(log: Path, begin: int) -> str:
    """Return the content of the log after `begin`."""
    return log.read_bytes()[begin:].decode(errors="replace") if log.exists() else ""


def _cause(text: str) -> str:
    """Return the line of PostgreSQL's output that says why it ended."""
    lines = text.strip().splitlines() or ["its log is empty"]
    return next((line for line in lines if re.search("FATAL|PANIC|error:", line)), lines[-1])


def failure(directory: Path, reason: str) -> EmbeddedPostgresError:
    """Return the error for a server of the directory that did not start."""
    if "No space left on device" in reason:
        return EmbeddedPostgresError(
            f"The disk is full: PostgreSQL has no room in {directory}. "
            "Make room, then run this again."
        )
    log = directory / "log"
    # Not `Path.exists`, which fails in a folder that this user may not enter.
    there = os.path.exists(log)  # noqa: PTH110
    where = f"Its log is {log}; without the folder it starts empty. " if there else ""
    return EmbeddedPostgresError(
        f"The embedded PostgreSQL in {directory} did not start: {_cause(reason).rstrip('.')}. "
        f"{where}Or set DATABASE_URL to a PostgreSQL of your own."
    )
