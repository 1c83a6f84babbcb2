"""Admission: immediate, after a wait, and refused."""

import asyncio

import pytest

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
