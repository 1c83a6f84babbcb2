"""Turns: how many requests begin in an iteration of the event loop, and whose."""

import asyncio

import pytest

from service import limits
from service.client import CLIENT
from service.common.web import turns as turns_module
from service.common.web.turns import FEWEST, LongSteps, Turns

NUMBER = limits.REQUESTS_IN_TURN.value


async def begin(turns: Turns, client: str, begun: list[str]) -> None:
    CLIENT.set(client)
    await turns.take()
    begun.append(client)


async def numbers_begun(tasks: list[asyncio.Task[None]], begun: list[str]) -> list[int]:
    """Return how many tasks began in each iteration in which any did, until all are done."""
    counts = []
    while not all(task.done() for task in tasks):
        before = len(begun)
        await asyncio.sleep(0)
        if len(begun) > before:
            counts.append(len(begun) - before)
    return counts


@pytest.mark.limit("REQUESTS_IN_TURN")
async def test_so_many_begin_in_an_iteration_and_one_more_in_the_next() -> None:
    turns, begun = Turns(NUMBER, 60), list[str]()
    tasks = [asyncio.create_task(begin(turns, "a", begun)) for _ in range(2 * NUMBER + 1)]
    counts = await numbers_begun(tasks, begun)

    assert counts == [NUMBER, NUMBER, 1]


async def test_a_client_with_few_requests_waits_for_one_of_each_other_client() -> None:
    turns, begun = Turns(1, 60), list[str]()
    tasks = [asyncio.create_task(begin(turns, "a", begun)) for _ in range(100)]
    tasks += [asyncio.create_task(begin(turns, name, begun)) for name in "bc"]
    await asyncio.gather(*tasks)

    assert set(begun[:4]) == {"a", "b", "c"}


async def test_one_that_is_cancelled_leaves_its_turn_to_others() -> None:
    turns, begun = Turns(1, 60), list[str]()
    tasks = [asyncio.create_task(begin(turns, "a", begun)) for _ in range(3)]
    await asyncio.sleep(0)
    tasks[1].cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await begin(turns, "a", begun)

    assert begun == ["a"] * 3


@pytest.mark.limit("TURN_MILLISECONDS")
@pytest.mark.parametrize(("cost", "fewest"), [(0.0004, NUMBER), (0.006, FEWEST)])
async def test_fewer_begin_while_iterations_take_long(
    monkeypatch: pytest.MonkeyPatch, cost: float, fewest: int
) -> None:
    now = 0.0
    monkeypatch.setattr(turns_module, "monotonic", lambda: now)
    turns, begun = Turns(NUMBER, limits.TURN_MILLISECONDS.value / 1000), list[str]()

    async def begin_slowly() -> None:
        nonlocal now
        await begin(turns, "a", begun)
        now += cost

    tasks = [asyncio.create_task(begin_slowly()) for _ in range(10 * NUMBER)]
    counts = await numbers_begun(tasks, begun)

    # Four of these cost more than an iteration may take, and three do not.
    assert counts[0] == NUMBER
    assert min(counts[:10]) == fewest
    assert max(counts[5:-1]) <= (NUMBER if fewest == NUMBER else 4)


@pytest.mark.limit("LONG_STEPS_PERCENT")
@pytest.mark.parametrize(("waited", "begins"), [(-0.001, False), (0.001, True)])
async def test_long_steps_take_a_part_of_the_time(
    monkeypatch: pytest.MonkeyPatch, waited: float, begins: bool
) -> None:
    loop, part = asyncio.get_running_loop(), limits.LONG_STEPS_PERCENT.value / 100
    took, now = 20.0, loop.time()
    monkeypatch.setattr(turns_module, "monotonic", lambda: now)
    monkeypatch.setattr(loop, "time", lambda: now)
    steps = LongSteps()
    end = await steps.start()
    waiting = asyncio.create_task(steps.start())
    await asyncio.sleep(0)
    now += took
    end()
    # All the time up to then, of which the step took its part.
    now += took / part - took + waited
    for _ in range(10):
        await asyncio.sleep(0)

    assert waiting.done() is begins
    waiting.cancel()


async def test_without_other_work_the_next_long_step_follows_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    steps = LongSteps(lambda: False)
    monkeypatch.setattr(turns_module, "REST", 1000)
    (await steps.start())()

    async with asyncio.timeout(10):
        await steps.start()


async def test_the_client_whose_long_steps_took_the_least_time_is_first() -> None:
    steps, order = LongSteps(), list[str]()

    async def step(client: str, seconds: float) -> None:
        CLIENT.set(client)
        end = await steps.start()
        order.append(client)
        until = asyncio.get_running_loop().time() + seconds
        while asyncio.get_running_loop().time() < until:
            pass
        end()

    end = await steps.start()
    waiting = [step("many", 0.001) for _ in range(5)]
    tasks = [asyncio.create_task(one) for one in [*waiting, step("few", 0)]]
    await asyncio.sleep(0)
    end()
    await asyncio.gather(*tasks)

    assert order[:2] == ["many", "few"]


async def test_a_long_step_that_is_cancelled_while_it_waits_leaves_its_turn_to_others() -> None:
    steps = LongSteps()
    end = await steps.start()
    one, other = (asyncio.create_task(steps.start()) for _ in range(2))
    await asyncio.sleep(0)
    one.cancel()
    end()

    (await other)()
