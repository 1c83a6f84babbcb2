"""How the service runs."""

from math import prod

from service.server.run import THRESHOLDS


def test_a_full_collection_begins_before_there_is_much_garbage() -> None:
    """It takes a microsecond or more for each object, while all requests wait."""
    assert prod(THRESHOLDS) <= 150_000
