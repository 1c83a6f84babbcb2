"""Which clients have statements of their own, and with how many writes."""

import pytest

from service import limits
from service.common.database.batching import slow_clients
from service.common.database.batching.slow_clients import MOST_SEPARATE, SlowClients

ONE, OTHER = ["one"], ["other"]
LONG = limits.SHARED_WRITE_MILLISECONDS.value / 1000
QUICK = 0.005


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Return the time, which tests change."""
    now = [100.0]
    monkeypatch.setattr(slow_clients, "monotonic", lambda: now[0])
    return now


@pytest.fixture
def found(clock: list[float]) -> SlowClients:
    """Return the slow clients of a service whose quickest statement was QUICK."""
    del clock
    found = SlowClients()
    found.learn(["quick"], QUICK)
    return found


@pytest.mark.limit("SHARED_WRITE_MILLISECONDS")
@pytest.mark.parametrize(("seconds", "is_separate"), [(LONG, False), (LONG + 0.001, True)])
def test_after_a_long_statement_each_of_its_clients_is_separate(
    found: SlowClients, seconds: float, is_separate: bool
) -> None:
    found.learn(ONE * 2 + OTHER * 40, seconds)

    assert found.is_separate("one") is found.is_separate("other") is is_separate
    assert not found.is_separate("quick")
    # The statement does not tell whose writes took long.
    assert found.limit("one") is found.limit("other") is None


@pytest.mark.parametrize(
    ("count", "seconds", "limit"), [(8, 0.1, None), (8, 0.16, 5), (8, 30, 1), (1, 0.2, 1)]
)
def test_a_separate_client_is_limited_by_its_own_statements(
    found: SlowClients, count: int, seconds: float, limit: int | None
) -> None:
    found.learn(ONE * 2 + OTHER * 40, 1)
    found.learn(ONE * count, seconds)
    found.learn(OTHER * 40, QUICK)

    assert (found.limit("one"), found.limit("other")) == (limit, None)


@pytest.mark.parametrize(
    ("count", "seconds", "limit"),
    [
        (5, 0.09, 5),
        # As many more as take 0.1 s.
        (5, 0.03, 16),
        # It has no more writes to send, or they have become cheap.
        (4, 0.09, None),
        (5, 0.02, None),
    ],
)
def test_a_limit_stays_while_all_writes_that_it_allows_take_some_time(
    found: SlowClients, clock: list[float], count: int, seconds: float, limit: int | None
) -> None:
    found.learn(ONE + OTHER, 1)
    found.learn(ONE * 8, 0.16)
    clock[0] += 4
    found.learn(ONE * count, seconds)
    clock[0] += 2

    assert found.limit("one") == limit


@pytest.mark.parametrize(
    ("shortest", "limit"), [(QUICK, 8), (0.05, 12), (0.1, 24), (0.24, 57), (0.3, None)]
)
def test_a_commit_that_takes_long_is_not_taken_for_the_number_of_writes(
    found: SlowClients, clock: list[float], shortest: float, limit: int
) -> None:
    """With a limit of one write in each statement, the service would be slower still."""
    clock[0] += 20
    for _ in range(2):
        found.learn(OTHER, shortest)
        clock[0] += 6
    found.learn(ONE * 64, 0.8)

    assert found.limit("one") == limit


def test_a_client_is_separate_for_some_time_after_its_last_long_statement(
    found: SlowClients, clock: list[float]
) -> None:
    found.learn(ONE + OTHER, 1)
    clock[0] += 50
    found.learn(ONE * 8, 0.16)
    found.learn(OTHER, QUICK)
    clock[0] += 11

    assert (found.is_separate("one"), found.is_separate("other")) == (True, False)


def test_few_clients_are_separate_and_the_last_ones_with_long_statements_stay(
    found: SlowClients, clock: list[float]
) -> None:
    for number in range(100):
        clock[0] += 1
        found.learn([str(number)] * 2 + ONE, 1)
        found.learn([str(number)], QUICK)
        found.learn(ONE, 0.2)

    separate = [name for name in (*map(str, range(100)), "one") if found.is_separate(name)]
    assert separate == [*map(str, range(100 - MOST_SEPARATE + 1, 100)), "one"]


def test_one_of_many_clients_is_found_although_it_has_few_writes(found: SlowClients) -> None:
    many = [str(number) for number in range(20)]
    for _ in range(1000):
        if found.is_separate("one"):
            break
        found.learn([*many, *many, *many, *ONE], 1)
        for client in many:
            if found.is_separate(client):
                found.learn([client], QUICK)

    assert found.is_separate("one")


def test_if_all_separate_clients_are_slow_the_database_is_and_they_share_statements_again(
    found: SlowClients, clock: list[float]
) -> None:
    clients = [str(number) for number in range(MOST_SEPARATE)]
    found.learn(clients, 1)
    for client in clients:
        assert found.is_separate(client)
        found.learn([client], 1)
    found.learn([*clients, *ONE], 1)

    assert not any(found.is_separate(client) for client in [*clients, "one"])

    clock[0] += 61
    found.learn(ONE * 2, 1)

    assert found.is_separate("one")
