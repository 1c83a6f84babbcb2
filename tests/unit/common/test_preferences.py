"""The header `Prefer` (RFC 7240)."""

import pytest

from service.common.resource.preferences import wants_count


@pytest.mark.parametrize(
    "prefer",
    [
        "count=exact",
        "Count=exact",
        'count="exact"',
        " count = exact ",
        "respond-async, count=exact",
        "count=exact; note=x, wait=10",
        "count=exact, count=planned",
    ],
)
def test_a_wish_for_a_count_is_understood(prefer: str) -> None:
    assert wants_count(prefer) is True


@pytest.mark.parametrize(
    "prefer",
    [None, "", "count", "count=", "count=planned", "discount=exact", "count=planned, count=exact"],
)
def test_any_other_wish_is_ignored(prefer: str | None) -> None:
    assert wants_count(prefer) is False
