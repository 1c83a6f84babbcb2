"""Admission: immediate, after a wait, and refused."""

import asyncio

import pytest

from service.client import CLIENT
from service.common.errors.exceptions import Unavailable
from service.common.web.admission import Admission


async def test_a_task_that_leaves_admits_the_one_that_waited_longest() -> None:
    admission = Admission("REQUESTS_IN_PROGRESS", running=1, waiting=2)
    await admission.enter("Busy.", 30)
    first, second = (asyncio.create_task(admission.enter("Busy.", 30)) for _ in range(2))
    await asyncio.sleep(0)
    with pytest.raises(Unavailable):
        await admission.enter("Busy.", 30)
    admission.leave()
    await first

    assert not second.done()

    admission.leave()
    await second


async def test_clients_are_admitted_in_turn() -> None:
    admission = Admission("REQUESTS_IN_PROGRESS", running=1)
    admitted: list[str] = []

    async def enter(client: str) -> None:
        CLIENT.set(client)
        await admission.enter("Busy.", 30)
        admitted.append(client)
        admission.leave()

    CLIENT.set("first")
    await admission.enter("Busy.", 30)
    waiting = [asyncio.create_task(enter(client)) for client in ("many", "many", "many", "few")]
    await asyncio.sleep(0)
    admission.leave()
    await asyncio.gather(*waiting)

    assert admitted == ["many", "few", "many", "many"]


async def test_a_client_has_its_share_of_the_places_and_of_the_queue() -> None:
    admission = Admission("IMPORTS", running=4, waiting=2, share=lambda number: number // 2)

    async def enter(client: str) -> None:
        CLIENT.set(client)
        await admission.enter("Busy.", 30)

    for client in ("many", "many", "few"):
        await asyncio.create_task(enter(client))
    waiting = asyncio.create_task(enter("many"))
    await asyncio.sleep(0)
    with pytest.raises(Unavailable, match="one client") as refused:
        await enter("many")
    await asyncio.create_task(enter("few"))

    assert refused.value.limit == "CLIENT_SHARE"
    assert not waiting.done()

    admission.leave()  # Of `many`.

    await waiting


async def test_a_client_that_does_not_wait_yet_finds_room_in_a_full_queue() -> None:
    admission = Admission("IMPORTS", running=1, waiting=2)
    refused: list[str] = []

    async def enter(client: str) -> None:
        CLIENT.set(client)
        try:
            await admission.enter("Busy.", 30)
        except Unavailable:
            refused.append(client)

    CLIENT.set("first")
    await admission.enter("Busy.", 30)
    clients = ("many", "many", "many", "few", "few", "other", "late")
    waiting = [asyncio.create_task(enter(client)) for client in clients]
    await asyncio.sleep(0)
    for task in waiting:
        task.cancel()
    await asyncio.wait(waiting)

    assert refused == ["many", "few", "late"]


async def test_a_task_that_waited_too_long_is_refused_and_takes_no_place() -> None:
    admission = Admission("REQUESTS_IN_PROGRESS", running=1, waiting=1)
    await admission.enter("Busy.", 0)
    for _ in range(3):
        with pytest.raises(Unavailable):
            await admission.enter("Busy.", 0)
    admission.leave()

    await admission.enter("Busy.", 0)


async def test_a_client_that_stops_waiting_takes_no_place() -> None:
    admission = Admission("REQUESTS_IN_PROGRESS", running=1, waiting=1)
    await admission.enter("Busy.", 30)
    for _ in range(3):
        waiting = asyncio.create_task(admission.enter("Busy.", 30))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait([waiting])
    admission.leave()

    await admission.enter("Busy.", 30)


async def test_a_suspended_task_admits_another_and_continues_immediately() -> None:
    admission = Admission("REQUESTS_IN_PROGRESS", running=1)
    await admission.enter("Busy.", 0)
    with admission.suspended():
        await admission.enter("Busy.", 0)
        with pytest.raises(Unavailable):
            await admission.enter("Busy.", 0)
    admission.leave()
    # One is left: the place is taken.
    with pytest.raises(Unavailable):
        await admission.enter("Busy.", 0)
    admission.leave()

    await admission.enter("Busy.", 0)


async def test_repeated_suspensions_leave_as_many_places_as_before() -> None:
    admission = Admission("REQUESTS_IN_PROGRESS", running=1)
    for _ in range(3):
        await admission.enter("Busy.", 0)
        for _ in range(3):
            with admission.suspended():
                pass
        admission.leave()
    await admission.enter("Busy.", 0)

    with pytest.raises(Unavailable):
        await admission.enter("Busy.", 0)
