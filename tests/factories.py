"""Valid payloads, each with a unique e-mail address."""

from itertools import count
from typing import Any

_numbers = count(1)


def item(**changes: Any) -> dict[str, Any]:
    """Return what creates an Item."""
    number = next(_numbers)
    return {"name": f"Project {number}", "email": f"project{number}@example.org"} | changes
