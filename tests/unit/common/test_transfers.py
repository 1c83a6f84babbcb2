"""Transfers: which one is ended, and when."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack
from functools import partial

import pytest
from structlog.contextvars import bound_contextvars, get_contextvars

from service.client import CLIENT
from service.common.database import transfers
from service.common.database.transfers import TRANSFER_CHECK_SECONDS, SlowTransfers, Transfer
from service.limits import (
    POOL_WAIT_SECONDS,
    PROGRESS_SECONDS,
    TRANSFER_BYTES,
    TRANSFER_BYTES_FOR_OTHERS,
    TRANSFER_MILLISECONDS_FOR_OTHERS,
)
from service.places import Clients, Places
from tests.counted import counted

BYTES = TRANSFER_BYTES_FOR_OTHERS.value
SECONDS = TRANSFER_MILLISECONDS_FOR_OTHERS.value / 1000
Pass = Callable[[float], Awaitable[None]]


@pytest.fixture
async def pass_time(monkeypatch: pytest.MonkeyPatch) -> Pass:
    """Return what sets the loop's clock forward."""
    now = 1000.0

    async def pass_time(seconds: float) -> None:
        nonlocal now
        now += seconds
        for _ in range(3):
            await asyncio.sleep(0)

    monkeypatch.setattr(asyncio.get_running_loop(), "time", lambda: now)
    return pass_time


ENOUGH = Places(1000)


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def waiting(stack: ExitStack, count: int) -> tuple[list[Transfer], list[int]]:
    """Return transfers that wait for their clients, and the list of ended ones."""
    ended: list[int] = []
    found = [Transfer() for _ in range(count)]
    for number, transfer in enumerate(found):
        stack.enter_context(transfer.waiting(partial(ended.append, number)))
    return found, ended


@pytest.mark.limit("TRANSFER_MILLISECONDS_FOR_OTHERS")
async def test_a_transfer_becomes_too_slow_while_another_waits(
    pass_time: Pass, stack: ExitStack
) -> None:
    found, ended = waiting(stack, 1)
    with SlowTransfers(lambda: found, lambda: ENOUGH).ending_for(""):
        await pass_time(SECONDS - 0.001)
        before = list(ended)
        await pass_time(TRANSFER_CHECK_SECONDS)
        await pass_time(TRANSFER_CHECK_SECONDS)

    assert (before, ended) == ([], [0])
    # In time for a waiting request.
    assert POOL_WAIT_SECONDS.value > SECONDS + 2 * TRANSFER_CHECK_SECONDS


async def test_a_transfer_that_is_too_slow_already_is_ended_at_once(
    pass_time: Pass, stack: ExitStack
) -> None:
    found, ended = waiting(stack, 1)
    await pass_time(SECONDS)
    before = list(ended)
    with SlowTransfers(lambda: found, lambda: ENOUGH).ending_for(""):
        assert (before, ended) == ([], [0])


@pytest.mark.limit("TRANSFER_BYTES_FOR_OTHERS")
@pytest.mark.parametrize("missing", [0, 1])
async def test_a_transfer_is_not_ended_while_its_client_moves_enough_bytes(
    pass_time: Pass, stack: ExitStack, missing: int
) -> None:
    transfer, ended = Transfer(), list[str]()
    for size in (BYTES // 2, BYTES // 2 - missing):
        with transfer.waiting(lambda: ended.append("slow")):
            await pass_time(SECONDS / 2 - 0.001)
        transfer.move(size)
    stack.enter_context(transfer.waiting(lambda: ended.append("slow")))
    await pass_time(0.002)
    with (
        counted("TRANSFER_BYTES_FOR_OTHERS", missing),
        SlowTransfers(lambda: [transfer], lambda: ENOUGH).ending_for(""),
    ):
        assert ended == ["slow"] * missing


@pytest.mark.limit("TRANSFER_BYTES", "PROGRESS_SECONDS")
@pytest.mark.parametrize("missing", [0, 1])
async def test_a_slow_transfer_is_ended_even_if_no_other_waits(
    pass_time: Pass, stack: ExitStack, missing: int
) -> None:
    transfer, ended = Transfer(), list[str]()
    parts = PROGRESS_SECONDS.value
    size, rest = divmod(TRANSFER_BYTES.value, parts)
    for part in range(parts):
        with transfer.waiting(lambda: ended.append("slow")):
            await pass_time(0.999)
        # Less than is enough while another one waits.
        transfer.move(size if part else size + rest - missing)
    before = list(ended)
    stack.enter_context(transfer.waiting(lambda: ended.append("slow")))
    with counted("TRANSFER_BYTES", missing):
        await pass_time(0.001 * parts)

    assert (before, ended) == ([], ["slow"] * missing)


async def test_the_time_of_the_database_does_not_count(pass_time: Pass, stack: ExitStack) -> None:
    transfer, ended = Transfer(), list[str]()
    with SlowTransfers(lambda: [transfer], lambda: ENOUGH).ending_for(""):
        await pass_time(2 * PROGRESS_SECONDS.value)
        stack.enter_context(transfer.waiting(lambda: ended.append("slow")))
        await pass_time(SECONDS / 2)

    assert ended == []


async def test_as_many_are_ended_as_others_wait_the_slowest_first(
    pass_time: Pass, stack: ExitStack
) -> None:
    found, ended = [Transfer() for _ in range(4)], list[int]()
    for number in (1, 3, 0, 2):
        stack.enter_context(found[number].waiting(partial(ended.append, number)))
        await pass_time(0.1)
    await pass_time(SECONDS)
    slow = SlowTransfers(lambda: found, lambda: ENOUGH)
    with slow.ending_for(""):
        await pass_time(TRANSFER_CHECK_SECONDS)
        # It holds its place until it has been rolled back.
        once = list(ended)
        with slow.ending_for(""):
            twice = list(ended)
            del found[1]
            await pass_time(TRANSFER_CHECK_SECONDS)
    await pass_time(TRANSFER_CHECK_SECONDS)

    assert (once, twice, ended) == ([1], [1, 3], [1, 3, 0])


async def test_the_transfers_are_looked_at_only_while_others_wait_and_by_one_timer(
    pass_time: Pass,
) -> None:
    looks: list[int] = []

    def look() -> list[Transfer]:
        looks.append(1)
        return []

    slow = SlowTransfers(look, lambda: ENOUGH)
    with slow.ending_for(""), slow.ending_for(""), slow.ending_for(""):
        arrived = len(looks)
        for _ in range(5):
            await pass_time(TRANSFER_CHECK_SECONDS + 0.001)
        seen = len(looks) - arrived
    for _ in range(5):
        await pass_time(TRANSFER_CHECK_SECONDS + 0.001)

    assert (arrived, seen, len(looks)) == (3, 5, 8)


async def test_the_log_names_the_request_that_is_ended_not_the_one_that_waits(
    pass_time: Pass, stack: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    named: list[object] = []

    class Log:
        def warning(self, *_: object, **__: object) -> None:
            named.append(get_contextvars()["request_id"])

    monkeypatch.setattr(transfers, "log", Log())
    with bound_contextvars(request_id="slow"):
        transfer = Transfer()
    stack.enter_context(transfer.waiting(lambda: None))
    await pass_time(SECONDS)
    with (
        bound_contextvars(request_id="waits"),
        SlowTransfers(lambda: [transfer], lambda: ENOUGH).ending_for(""),
    ):
        assert named == ["slow"]


async def test_for_a_client_with_its_share_only_its_own_transfers_are_ended(
    pass_time: Pass, stack: ExitStack
) -> None:
    found, ended, places = [], list[str](), Places(5, share=2)
    for client in ("other", "other", "own", "own", "third"):
        CLIENT.set(client)
        places.add(client)
        transfer = Transfer()
        found.append(transfer)
        stack.enter_context(transfer.waiting(partial(ended.append, client)))
    await pass_time(SECONDS)
    slow = SlowTransfers(lambda: found, lambda: places)
    with slow.ending_for("own"):
        own = [*ended]
        with slow.ending_for("own"), slow.ending_for("own"):
            all_own = [*ended]

    assert (own, all_own, ended) == (["own"], ["own"] * 2, ["own"] * 2)


async def test_as_many_are_ended_for_a_client_as_it_may_have(
    pass_time: Pass, stack: ExitStack
) -> None:
    found, ended = waiting(stack, 4)
    places = Places(4, share=2)
    places.add("own")
    await pass_time(SECONDS)
    slow = SlowTransfers(lambda: found, lambda: places)
    with slow.ending_for("own"), slow.ending_for("own"), slow.ending_for("own"):
        await pass_time(TRANSFER_CHECK_SECONDS)
        once = len(ended)
        with slow.ending_for("other"):
            pass

    assert (once, len(ended)) == (1, 2)


async def test_none_is_ended_for_a_request_that_has_a_place_but_has_not_run_since(
    pass_time: Pass, stack: ExitStack
) -> None:
    found, ended = waiting(stack, 3)
    places = Places(1)
    places.add("")
    slow = SlowTransfers(lambda: found, lambda: places)

    async def wait() -> None:
        with slow.ending_for("a"):
            await places.wait(Clients("a"))

    task = asyncio.create_task(wait())
    await pass_time(SECONDS)
    await pass_time(TRANSFER_CHECK_SECONDS)
    before = list(ended)
    # The place of the ended one goes to the request. Before that runs, another one waits.
    del found[ended[0]]
    places.release("")
    resuming = places.not_yet_resumed("a")
    with slow.ending_for("b"):
        after = list(ended)
    await task

    assert (len(before), len(after)) == (1, 2)
    assert (resuming, places.not_yet_resumed("a")) == (1, 0)
