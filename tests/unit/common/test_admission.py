"""Who gets in, who waits, and who is refused."""

import asyncio

import pytest

from service.common.errors.exceptions import Unavailable
from service.common.web.admission import Admission


async def test_who_leaves_lets_in_who_waited_longest() -> None:
    admission = Admission(running=1, waiting=2)
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


async def test_who_waited_too_long_is_refused_and_takes_no_place() -> None:
    admission = Admission(running=1, waiting=1)
    await admission.enter("Busy.", 0)
    for _ in range(3):
        with pytest.raises(Unavailable):
            await admission.enter("Busy.", 0)
    admission.leave()

    await admission.enter("Busy.", 0)


async def test_who_gives_up_waiting_takes_no_place() -> None:
    admission = Admission(running=1, waiting=1)
    await admission.enter("Busy.", 30)
    for _ in range(3):
        waiting = asyncio.create_task(admission.enter("Busy.", 30))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait([waiting])
    admission.leave()

    await admission.enter("Busy.", 30)


async def test_who_waits_for_something_else_lets_another_in_and_then_goes_on_at_once() -> None:
    admission = Admission(running=1)
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


async def test_who_waits_several_times_leaves_as_many_places_as_before() -> None:
    admission = Admission(running=1)
    for _ in range(3):
        await admission.enter("Busy.", 0)
        for _ in range(3):
            with admission.suspended():
                pass
        admission.leave()
    await admission.enter("Busy.", 0)

    with pytest.raises(Unavailable):
        await admission.enter("Busy.", 0)
