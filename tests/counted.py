"""That the metrics count a limit which a test reaches."""

from collections.abc import Iterator
from contextlib import contextmanager

from service.metrics import COUNTED_LIMITS, REGISTRY


@contextmanager
def counted(limit: str, times: int = 1) -> Iterator[None]:
    """Assert that a limit is counted so many times in this context, and no other one.

    tests/test_limits.py looks for the names: each limit that is counted needs such a test.
    """
    before = _counts()
    yield
    after = _counts()

    found = {name: after[name] - before[name] for name in after if after[name] != before[name]}
    assert found == ({limit: times} if times else {})


def _counts() -> dict[str, float]:
    name = "http_server_limits_reached_total"
    return {
        limit: REGISTRY.get_sample_value(name, {"limit": limit}) or 0 for limit in COUNTED_LIMITS
    }
