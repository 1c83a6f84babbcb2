"""Who gets in, who waits, and who is refused."""

import asyncio

import pytest

from service.common import admission
from service.common.admission import Admission, RequestAdmission
from service.common.exceptions import Unavailable
from service.common.limits import REQUESTS_IN_PROGRESS

MANY = REQUESTS_IN_PROGRESS.value


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


@pytest.fixture
async def full() -> RequestAdmission:
    """Return an admission that has no place left."""
    made = RequestAdmission()
    for _ in range(MANY):
        assert await made.enter({"path": "/foss"})
    return made


async def test_the_next_one_waits_until_a_request_has_ended(full: RequestAdmission) -> None:
    scope = {"path": "/foss"}
    ended = {"path": "/foss", admission.ADMITTED: True}
    waiting = asyncio.create_task(full.enter(scope))
    await asyncio.sleep(0)
    waited = not waiting.done()
    full.leave(ended)

    assert waited
    assert await waiting
    assert scope[admission.ADMITTED]


async def test_those_that_wait_are_admitted_in_the_order_of_their_arrival(
    full: RequestAdmission,
) -> None:
    order: list[int] = []

    async def arrive(number: int) -> None:
        if await full.enter({"path": "/foss"}):
            order.append(number)

    async with asyncio.TaskGroup() as group:
        for number in range(3):
            group.create_task(arrive(number))
        await asyncio.sleep(0)
        for _ in range(3):
            full.leave({admission.ADMITTED: True})

    assert order == [0, 1, 2]


async def test_a_request_that_waits_for_too_long_is_refused(
    full: RequestAdmission, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(admission, "WAIT_SECONDS", 0.01)
    scope = {"path": "/foss"}

    assert not await full.enter(scope)
    assert admission.ADMITTED not in scope


@pytest.mark.parametrize("path", ["/livez", "/readyz"])
async def test_health_needs_no_place(full: RequestAdmission, path: str) -> None:
    scope = {"path": path}

    assert await full.enter(scope)

    full.leave(scope)
    waiting = asyncio.create_task(full.enter({"path": "/foss"}))
    await asyncio.sleep(0)

    assert not waiting.done()

    waiting.cancel()


async def test_a_client_that_leaves_while_it_waits_takes_no_place(full: RequestAdmission) -> None:
    waiting = asyncio.create_task(full.enter({"path": "/foss"}))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait([waiting])
    full.leave({admission.ADMITTED: True})

    assert await full.enter({"path": "/foss"})
