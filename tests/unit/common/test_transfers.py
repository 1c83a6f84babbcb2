"""Transfers: which one is ended, if others wait."""

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial

import pytest
from structlog.contextvars import bound_contextvars, get_contextvars

from service.common import transfers
from service.common.limits import TRANSFER_BYTES_FOR_OTHERS, TRANSFER_SECONDS_FOR_OTHERS
from service.common.transfers import Transfer, end_slowest

BYTES = TRANSFER_BYTES_FOR_OTHERS.value
SECONDS = TRANSFER_SECONDS_FOR_OTHERS.value


class Clock:
    """The loop's time, as a test sets it."""

    now = 1000.0

    def time(self) -> float:
        return self.now


@pytest.fixture
async def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(asyncio.get_running_loop(), "time", clock.time)
    return clock


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.mark.limit("TRANSFER_SECONDS_FOR_OTHERS")
async def test_a_transfer_is_ended_when_its_client_was_waited_for_too_long(
    clock: Clock, stack: ExitStack
) -> None:
    transfer, ended = Transfer(), list[str]()
    stack.enter_context(transfer.waiting(lambda: ended.append("slow")))
    clock.now += SECONDS - 0.001
    end_slowest([transfer])
    before = list(ended)
    clock.now += 0.001
    end_slowest([transfer])
    end_slowest([transfer])

    assert (before, ended) == ([], ["slow"])


@pytest.mark.limit("TRANSFER_BYTES_FOR_OTHERS")
@pytest.mark.parametrize("missing", [0, 1])
async def test_a_transfer_is_not_ended_while_its_client_moves_enough_bytes(
    clock: Clock, stack: ExitStack, missing: int
) -> None:
    transfer, ended = Transfer(), list[str]()
    for size in (BYTES // 2, BYTES // 2 - missing):
        with transfer.waiting(lambda: ended.append("slow")):
            clock.now += SECONDS / 2 - 0.001
        transfer.move(size)
    stack.enter_context(transfer.waiting(lambda: ended.append("slow")))
    clock.now += 0.002
    end_slowest([transfer])

    assert ended == ["slow"] * missing


async def test_the_time_of_the_database_does_not_count(clock: Clock, stack: ExitStack) -> None:
    transfer, ended = Transfer(), list[str]()
    clock.now += SECONDS
    end_slowest([transfer])
    stack.enter_context(transfer.waiting(lambda: ended.append("slow")))
    clock.now += SECONDS / 2
    end_slowest([transfer])

    assert ended == []


async def test_only_the_slowest_is_ended(clock: Clock, stack: ExitStack) -> None:
    transfers, ended = [Transfer() for _ in range(3)], list[int]()
    for number in (1, 0, 2):
        stack.enter_context(transfers[number].waiting(partial(ended.append, number)))
        clock.now += SECONDS
    end_slowest(transfers)
    once = list(ended)
    end_slowest(transfers)
    end_slowest([])

    assert (once, ended) == ([1], [1, 0])


async def test_the_log_names_the_request_that_is_ended_not_the_one_that_waits(
    clock: Clock, stack: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    named: list[object] = []

    class Log:
        def warning(self, *_: object, **__: object) -> None:
            named.append(get_contextvars()["request_id"])

    monkeypatch.setattr(transfers, "log", Log())
    with bound_contextvars(request_id="slow"):
        transfer = Transfer()
    stack.enter_context(transfer.waiting(lambda: None))
    clock.now += SECONDS
    with bound_contextvars(request_id="waits"):
        end_slowest([transfer])

    assert named == ["slow"]
