"""Places: clients get them in turn, and at most their share."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest

from service.places import LONGEST_WAIT_SECONDS, MOST_CLIENTS, Clients, Places


def of(*clients: str) -> Clients:
    first, *others = clients
    found = Clients(first)
    for client in others:
        found.add(client)
    return found


async def waiting(places: Places, *clients: str, kind: str = "") -> asyncio.Task[str]:
    """Return a task that waits for a place for these clients."""
    task = asyncio.create_task(places.wait(of(*clients), kind))
    await asyncio.sleep(0)
    return task


async def order_of(places: Places, tasks: Sequence[asyncio.Task[str]]) -> list[int]:
    """Release the only place again and again; return in which order the tasks got it."""
    order: list[int] = []
    last = "first"
    while len(order) < len(tasks):
        places.release(last)
        await asyncio.sleep(0)
        [number] = [n for n, task in enumerate(tasks) if task.done() and n not in order]
        order.append(number)
        last = tasks[number].result()
    return order


def taken_of_one() -> Places:
    places = Places(1)
    places.take(of("first"))
    return places


async def test_clients_get_the_place_in_turn() -> None:
    places = taken_of_one()
    tasks = [await waiting(places, one) for one in ("many", "many", "many", "few", "other")]

    assert await order_of(places, tasks) == [0, 3, 4, 1, 2]


async def test_a_client_that_returns_waits_no_longer_than_new_ones() -> None:
    places = taken_of_one()
    last, order, number = "first", "", 0
    tasks = {"returns": await waiting(places, "returns")}
    for _ in range(3):
        number += 1
        tasks[f"new {number}"] = await waiting(places, f"new {number}")
    for _ in range(40):
        places.release(last)
        await asyncio.sleep(0)
        [last] = [client for client, task in tasks.items() if task.done()]
        order += last[0]
        del tasks[last]
        if last != "returns":
            number += 1
        again = "returns" if last == "returns" else f"new {number}"
        tasks[again] = await waiting(places, again)
    for task in tasks.values():
        task.cancel()
    await asyncio.wait(tasks.values())

    assert order == "rnnn" * 10
    assert len(places) == 0


async def test_a_task_for_several_clients_has_the_turn_of_any() -> None:
    places = taken_of_one()
    tasks = [
        await waiting(places, "many"),
        await waiting(places, "many"),
        await waiting(places, "many", "few"),
    ]

    assert await order_of(places, tasks) == [0, 2, 1]
    assert tasks[2].result() == "few"


async def test_kinds_of_tasks_are_served_alternately_whatever_the_number_of_clients() -> None:
    places = taken_of_one()
    tasks = [await waiting(places, client, kind="a") for client in ("one", "two", "three", "one")]
    tasks += [await waiting(places, "one", kind="b") for _ in range(2)]

    assert await order_of(places, tasks) == [0, 4, 1, 5, 2, 3]


async def test_a_client_has_at_most_its_share() -> None:
    places = Places(4, share=2)
    taken = [places.take(of("many")) for _ in range(3)]
    third = await waiting(places, "many")
    others = [places.take(of(*clients)) for clients in (["few"], ["many", "few"], ["other"])]

    assert taken == ["many", "many", None]
    assert others == ["few", "few", None]
    assert (places.free, len(places)) == (0, 1)

    places.release("few")
    await asyncio.sleep(0)

    # A place is free, but not for this client.
    assert not third.done()
    assert places.remaining("many") == 0

    places.release("many")

    assert await third == "many"
    assert places.free == 1


@pytest.mark.parametrize(("share", "is_limited"), [(None, False), (2, False), (1, True)])
async def test_only_a_share_of_less_than_all_places_limits_a_client(
    share: int | None, is_limited: bool
) -> None:
    places = Places(2, share)
    taken = [places.take(of("one")) for _ in range(3)]

    assert taken.count("one") == (1 if is_limited else 2)
    assert (places.remaining("one") <= 0) == is_limited


async def test_a_waiting_task_that_another_client_joins_gets_its_place() -> None:
    places = Places(2, share=1)
    places.take(of("many"))
    clients = of("many")
    task = asyncio.create_task(places.wait(clients))
    await asyncio.sleep(0)
    clients.add("few")

    assert await task == "few"

    # It does not wait any more.
    clients.add("other")

    assert (places.free, len(places)) == (0, 0)


@pytest.mark.parametrize("has_place", [True, False])
async def test_a_task_that_is_cancelled_leaves_no_place_taken(has_place: bool) -> None:
    places = taken_of_one()
    given_up, next_one = [await waiting(places, one) for one in ("first", "next")]
    if has_place:
        # It gets the place, and is cancelled before it runs.
        places.release("first")
    given_up.cancel()
    if not has_place:
        # It is cancelled, and does not know it yet.
        places.release("first")
    await asyncio.wait([given_up])

    assert given_up.cancelled()
    assert await next_one == "next"

    places.release("next")

    assert places.free == 1
    assert (vars(places)["_taken"], vars(places)["_turns"], len(places)) == ({}, {}, 0)


async def test_more_tasks_than_places_use_up_what_is_released() -> None:
    places = taken_of_one()
    places.add("second")
    task = await waiting(places, "third")
    places.release("second")
    await asyncio.sleep(0)

    assert not task.done()

    places.release("first")

    assert await task == "third"


async def test_a_client_with_fewer_places_is_served_before_one_with_more() -> None:
    places = Places(4)
    for client in ("many", "many", "many", "few"):
        places.take(of(client))
    many, few, new = [await waiting(places, one) for one in ("many", "few", "new")]
    places.release("many")
    assert await new == "new"

    places.release("new")
    assert await few == "few"

    assert not many.done()


async def test_a_client_that_has_used_less_time_is_served_first() -> None:
    places = taken_of_one()
    tasks = [await waiting(places, one) for one in ("long", "short", "short", "new", "shorter")]
    places.charge("long", 1)
    places.charge("short", 0.1)
    places.charge("shorter", 0.01)

    assert await order_of(places, tasks) == [3, 4, 1, 2, 0]


async def test_a_client_that_comes_is_not_ahead_by_all_that_others_have_used_before() -> None:
    places = taken_of_one()
    for _ in range(100):
        places.charge("old", 1)
    tasks = [await waiting(places, one) for one in ("old", "new")]

    assert await order_of(places, tasks) == [0, 1]


async def test_a_client_waits_for_few_others_whatever_it_has_used_before() -> None:
    """Some new clients always wait."""
    places = taken_of_one()
    places.charge("returns", 1000)
    returns = await waiting(places, "returns")
    tasks = [await waiting(places, f"new {number}") for number in range(3)]
    last = "first"
    for number in range(10):
        places.charge(last, 0.1)
        places.release(last)
        await asyncio.sleep(0)
        if returns.done():
            break
        [served] = [task for task in tasks if task.done()]
        tasks.remove(served)
        last = served.result()
        tasks.append(await waiting(places, f"later {number}"))

    assert returns.done()
    for task in tasks:
        task.cancel()


async def test_a_client_that_has_used_much_waits_for_others_a_bounded_time() -> None:
    places = taken_of_one()
    others = [f"other {number}" for number in range(3)]
    tasks = [await waiting(places, one) for one in others]
    places.charge("first", 1000)
    much = await waiting(places, "first")
    seconds, last = 0.0, "first"
    while not much.done():
        places.release(last)
        await asyncio.sleep(0)
        if served := [task for task in tasks if task.done()]:
            last = served[0].result()
            tasks.remove(served[0])
            tasks.append(await waiting(places, last))
            places.charge(last, 0.01)
            seconds += 0.01
    for task in tasks:
        task.cancel()

    assert LONGEST_WAIT_SECONDS / 2 < seconds <= LONGEST_WAIT_SECONDS + 0.01


async def test_the_used_time_of_a_bounded_number_of_clients_is_kept() -> None:
    places = Places(1)
    for number in range(2 * MOST_CLIENTS):
        places.charge(str(number), 1)

    assert len(vars(places)["_used"]) <= MOST_CLIENTS + 1


@pytest.mark.parametrize("number", [1, 20])
async def test_whose_turn_it_is_takes_no_longer_with_many_that_wait(number: int) -> None:
    """Counts what is looked at: clients, and the tasks of one."""
    places = Places(number)
    for one in range(number):
        places.take(of(f"client {one}"))
    looked = 0

    class Taken(Counter[str]):
        def get(self, *args: Any) -> Any:
            nonlocal looked
            looked += 1
            return super().get(*args)

    vars(places)["_taken"] = Taken(vars(places)["_taken"])
    tasks = [await waiting(places, f"client {number % 100}") for number in range(1000)]
    last = "client 0"
    while tasks:
        places.release(last)
        await asyncio.sleep(0)
        [served] = [task for task in tasks if task.done()]
        tasks.remove(served)
        last = served.result()

    assert looked <= number * 1000
