"""Valid payloads, each with a unique e-mail address."""

from typing import Any

from tests.factories import item


def foss(**changes: Any) -> dict[str, Any]:
    """Return what creates a Foss: it has the fields of an Item."""
    return item(**changes)
