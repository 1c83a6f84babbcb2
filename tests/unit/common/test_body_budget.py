"""Which body is given up when all bodies together hold too much."""

import pytest

from service.budget import Budget
from service.common.errors.exceptions import Unavailable
from service.common.web.bodies import MeasuredBody, body_budget

LIMIT = 1000


class Body(MeasuredBody):
    budget = body_budget(LIMIT)

    def __init__(self, expected: int | None, limit: int | None) -> None:
        super().__init__(expected, limit, self.budget)


@pytest.fixture
def budget(monkeypatch: pytest.MonkeyPatch) -> Budget[MeasuredBody]:
    budget = body_budget(LIMIT)
    monkeypatch.setattr(Body, "budget", budget)
    return budget


def body(size: int, limit: int | None = None) -> Body:
    """Return an unfinished body that has received so many bytes."""
    body = Body(None, limit)
    body.append(b"x" * size)
    return body


async def test_all_bodies_are_kept_up_to_the_budget(budget: Budget[MeasuredBody]) -> None:
    first, second = body(400), body(600)
    for one in (first, second):
        one.set_complete()

    assert (await first, await second) == (b"x" * 400, b"x" * 600)
    assert budget.held == LIMIT


async def test_one_byte_beyond_the_budget_the_largest_body_is_given_up(
    budget: Budget[MeasuredBody],
) -> None:
    small, large = body(400), body(600)
    small.append(b"x")

    assert budget.held == 401
    with pytest.raises(Unavailable):
        await large
    small.set_complete()
    assert len(await small) == 401


async def test_a_small_body_is_accepted_whatever_large_ones_hold(
    budget: Budget[MeasuredBody],
) -> None:
    large = [body(100) for _ in range(10)]
    small = [body(10) for _ in range(50)]
    for one in small:
        one.set_complete()

    assert [len(await one) for one in small] == [10] * 50
    assert budget.held <= LIMIT
    assert sum(one.received.is_set() for one in large) == 0


async def test_a_body_that_is_given_up_keeps_nothing_of_its_rest(
    budget: Budget[MeasuredBody],
) -> None:
    one = body(LIMIT + 1)
    one.append(b"x" * 10)
    one.set_complete()

    assert budget.held == 0
    with pytest.raises(Unavailable):
        await one


async def test_a_body_over_its_own_limit_holds_nothing(budget: Budget[MeasuredBody]) -> None:
    body(11, limit=10)

    assert budget.held == 0


async def test_a_cleared_body_is_released_once(budget: Budget[MeasuredBody]) -> None:
    one = body(10)
    one.clear()
    one.clear()
    one.append(b"x" * 10)

    assert budget.held == 0
