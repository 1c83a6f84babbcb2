"""The metrics count each limit that is reached."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from service.common.database import Transfer
from service.common.errors import Unavailable
from service.common.web import Admission
from service.common.web.body_budget import Budget
from service.metrics import COUNTED_LIMITS, REGISTRY


@contextmanager
def counted(limit: str, times: int = 1) -> Iterator[None]:
    """Assert that a limit is counted so many times in this context, and no other one."""
    before = counts()
    yield
    after = counts()

    assert {name: after[name] - before[name] for name in after if after[name] != before[name]} == {
        limit: times
    }


def counts() -> dict[str, float]:
    name = "http_server_limits_reached_total"
    return {
        limit: REGISTRY.get_sample_value(name, {"limit": limit}) or 0 for limit in COUNTED_LIMITS
    }


class Body:
    """A body that can be given up."""

    def give_up(self, error: Exception) -> None:
        """Discard nothing."""


async def test_a_task_that_is_not_admitted() -> None:
    admission = Admission("REQUESTS_IN_PROGRESS", 1, 0)
    await admission.enter("busy", 1)
    with counted("REQUESTS_IN_PROGRESS"), pytest.raises(Unavailable):
        await admission.enter("busy", 1)


async def test_a_task_that_waits_in_vain() -> None:
    admission = Admission("IMPORTS", 1)
    await admission.enter("busy", 1)
    with counted("IMPORTS"), pytest.raises(Unavailable):
        await admission.enter("busy", 0)


def test_a_body_beyond_the_budget() -> None:
    budget = Budget(10)
    budget.hold(Body(), 8)
    with counted("BODIES_BYTES"):
        budget.hold(Body(), 9)


async def test_a_transfer_that_is_ended() -> None:
    transfer, ended = Transfer(), asyncio.Event()
    with counted("TRANSFER_BYTES_FOR_OTHERS"), transfer.waiting(ended.set):
        transfer.end("TRANSFER_BYTES_FOR_OTHERS", "a test")

    assert ended.is_set()
