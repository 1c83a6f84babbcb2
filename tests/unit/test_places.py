"""Places: clients get them in turn, and at most their share."""

import asyncio
from collections.abc import Sequence

import pytest

from service.places import Places


async def waiting(places: Places, *clients: str, kind: str = "") -> asyncio.Task[str]:
    """Return a task that waits for a place for these clients."""
    task = asyncio.create_task(places.wait(lambda: clients, kind))
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


async def test_clients_get_the_place_in_turn() -> None:
    places = Places(1)
    places.take(["first"])
    tasks = [await waiting(places, one) for one in ("many", "many", "many", "few", "other")]

    assert await order_of(places, tasks) == [0, 3, 4, 1, 2]


async def test_a_task_for_several_clients_has_the_turn_of_any() -> None:
    places = Places(1)
    places.take(["first"])
    tasks = [
        await waiting(places, "many"),
        await waiting(places, "many"),
        await waiting(places, "many", "few"),
    ]

    assert await order_of(places, tasks) == [0, 2, 1]
    assert tasks[2].result() == "few"


async def test_kinds_of_tasks_have_turns_of_their_own() -> None:
    places = Places(1)
    places.take(["first"])
    tasks = [await waiting(places, "one", kind=kind) for kind in "aaab"]

    assert await order_of(places, tasks) == [0, 3, 1, 2]


async def test_a_client_has_at_most_its_share() -> None:
    places = Places(4, share=2)
    taken = [places.take(["many"]) for _ in range(3)]
    third = await waiting(places, "many")
    others = [places.take(["few"]), places.take(["many", "few"]), places.take(["other"])]

    assert taken == ["many", "many", None]
    assert others == ["few", "few", None]
    assert (places.free, len(places)) == (0, 1)

    places.release("few")
    await asyncio.sleep(0)

    # A place is free, but not for this client.
    assert not third.done()

    places.release("many")

    assert await third == "many"
    assert places.free == 1


async def test_a_waiting_task_that_gets_a_client_with_room_gets_the_place() -> None:
    places = Places(2, share=1)
    places.take(["many"])
    clients = ["many"]
    task = asyncio.create_task(places.wait(lambda: clients))
    await asyncio.sleep(0)
    clients.append("few")
    places.give()

    assert await task == "few"


@pytest.mark.parametrize("has_place", [True, False])
async def test_a_task_that_is_cancelled_leaves_no_place_taken(has_place: bool) -> None:
    places = Places(1)
    places.take(["first"])
    given_up, next_one = [await waiting(places, one) for one in ("first", "next")]
    if has_place:
        # It gets the place, and is cancelled before it runs.
        places.release("first")
    given_up.cancel()
    await asyncio.wait([given_up])
    if not has_place:
        places.release("first")

    assert given_up.cancelled()
    assert await next_one == "next"

    places.release("next")

    assert places.free == 1
    assert vars(places)["_taken"] == {}


async def test_more_tasks_than_places_use_up_what_is_released() -> None:
    places = Places(1)
    places.take(["first"])
    places.add("second")
    task = await waiting(places, "third")
    places.release("second")
    await asyncio.sleep(0)

    assert not task.done()

    places.release("first")

    assert await task == "third"


async def test_the_memory_of_served_clients_is_bounded() -> None:
    places = Places(1)
    places.take(["first"])
    tasks = [await waiting(places, f"client {number}") for number in range(2500)]
    sizes = []
    last = "first"
    for task in tasks:
        places.release(last)
        last = await task
        sizes.append(len(vars(places)["_served"]))
    places.release(last)

    assert max(sizes) == 1000
    assert (places.free, len(places)) == (1, 0)
