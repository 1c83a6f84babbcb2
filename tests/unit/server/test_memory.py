"""Free memory goes back to the system."""

import asyncio

import psutil
import pytest

from service.server import memory

KIB, MIB = 1 << 10, 1 << 20


class Loop(asyncio.BaseEventLoop):
    """A loop that records what is to be called later."""

    def __init__(self) -> None:
        super().__init__()
        self.later: list[tuple[object, ...]] = []

    def call_later(self, *arguments: object, **_: object) -> asyncio.TimerHandle:
        self.later.append(arguments)
        return asyncio.TimerHandle(0, lambda: None, (), self)


@pytest.mark.skipif(memory.TRIM is None, reason="only glibc returns free memory at a request")
def test_memory_between_blocks_in_use_goes_back_every_few_seconds() -> None:
    process, loop = psutil.Process(), Loop()
    # As of parts of bodies, of which one in a thousand is still in use.
    blocks = [bytes(8 * KIB) for _ in range(20_000)]
    kept = blocks[::1000]
    used = process.memory_info().rss
    del blocks
    free = process.memory_info().rss
    memory.give_back(loop)
    back = process.memory_info().rss
    loop.close()

    assert used - free < 20 * MIB
    assert used - back > 120 * MIB
    assert loop.later == [(memory.SECONDS, memory.give_back, loop)]
    assert len(kept) == 20


def test_another_c_library_needs_no_call(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "TRIM", None)
    loop = Loop()
    memory.give_back(loop)
    loop.close()

    assert loop.later == []
