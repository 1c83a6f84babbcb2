"""How many calls of a client may share a write, by how long its last ones took."""

import pytest

from service import limits
from service.common.database.batching import slow_clients
from service.common.database.batching.slow_clients import SlowClients

ONE, ANOTHER = ["one"], ["another"]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Return the time, which tests change."""
    now = [100.0]
    monkeypatch.setattr(slow_clients, "monotonic", lambda: now[0])
    return now


LONG = limits.SHARED_WRITE_MILLISECONDS.value / 1000


@pytest.mark.limit("SHARED_WRITE_MILLISECONDS")
@pytest.mark.parametrize(
    ("clients", "seconds", "limit"),
    [
        (ONE * 98 + ANOTHER * 2, LONG, None),
        (ONE * 98 + ANOTHER * 2, LONG + 0.001, 19),
        (ONE * 98 + ANOTHER * 2, 1, 9),
        (ONE * 98 + ANOTHER * 2, 100, 1),
        (ONE, 1, 1),
    ],
)
def test_the_client_with_most_calls_of_a_long_write_is_limited(
    clients: list[str], seconds: float, limit: int | None
) -> None:
    found = SlowClients()
    found.learn(clients, seconds)

    assert (found.limit("one"), found.limit("another")) == (limit, None)


def test_a_limited_client_whose_calls_take_long_again_has_fewer() -> None:
    found = SlowClients()
    found.learn(ONE * 98, 1)
    found.learn(ONE * 9 + ANOTHER * 2, 0.45)

    assert (found.limit("one"), found.limit("another")) == (2, None)


@pytest.mark.parametrize(
    ("count", "seconds", "limit"),
    [
        (9, 0.03, 9),
        # It has no more calls to send, or they have become cheap.
        (8, 0.09, None),
        (9, 0.02, None),
    ],
)
def test_a_limit_stays_while_all_calls_that_it_allows_take_some_time(
    clock: list[float], count: int, seconds: float, limit: int | None
) -> None:
    found = SlowClients()
    found.learn(ONE * 98, 1)
    clock[0] += 4
    found.learn(ONE * count, seconds)
    clock[0] += 2

    assert found.limit("one") == limit


def test_nothing_is_kept_of_clients_that_are_no_longer_limited(clock: list[float]) -> None:
    found = SlowClients()
    for number in range(100):
        found.learn([str(number)], 1)
    clock[0] += 6
    found.learn(ONE, 1)

    assert len(vars(found)["_limits"]) == 1
