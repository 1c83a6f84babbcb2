"""The budget that clients share: what is ended if it is exceeded."""

import pytest

from service import limits
from service.budget import Budget
from service.server.connection_server import ConnectionServer

LIMIT = 1000


@pytest.fixture
def ended() -> list[str]:
    return []


@pytest.fixture
def budget(ended: list[str]) -> Budget[str]:
    return Budget(LIMIT, ended.append)


def test_one_byte_beyond_the_limit_ends_the_largest(budget: Budget[str], ended: list[str]) -> None:
    budget.hold("small", "a", 400)
    budget.hold("large", "a", 600)
    before = [*ended]
    budget.hold("small", "a", 1)

    assert before == []
    assert ended == ["large"]
    assert budget.held == 401


def test_the_client_that_holds_most_loses_whatever_the_size_of_others(
    budget: Budget[str], ended: list[str]
) -> None:
    for number in range(90):
        budget.hold(f"unfinished {number}", "attacker", 10)
    budget.hold("first", "other", 100)
    budget.hold("second", "another", 50)

    assert ended == [f"unfinished {number}" for number in range(5)]
    assert budget.held == LIMIT


def test_of_equal_ones_the_first_is_ended(budget: Budget[str], ended: list[str]) -> None:
    for name in ("first", "second", "third"):
        budget.hold(name, "a", 500)

    assert ended == ["first"]


def test_one_that_begins_anew_is_the_last(budget: Budget[str], ended: list[str]) -> None:
    for name in ("first", "second"):
        budget.hold(name, "a", 500)
    budget.release("first")
    budget.hold("first", "a", 500)
    budget.hold("third", "a", 1)

    assert ended == ["second"]


def test_one_that_is_released_twice_is_counted_once(budget: Budget[str]) -> None:
    budget.hold("first", "a", 10)
    budget.release("first")
    budget.release("first")

    assert budget.held == 0


@pytest.mark.limit("UNREAD_BYTES")
def test_unread_responses_have_a_budget_of_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    ended: list[object] = []
    monkeypatch.setattr(
        ConnectionServer, "end_unread", property(lambda one: lambda: ended.append(one))
    )
    budget = ConnectionServer.unread
    first, second = (ConnectionServer.__new__(ConnectionServer) for _ in range(2))
    try:
        budget.hold(first, "a", limits.UNREAD_BYTES.value)
        before = [*ended]
        budget.hold(second, "b", 1)
    finally:
        budget.release(first)
        budget.release(second)

    assert before == []
    assert ended == [first]
    assert budget.held == 0
