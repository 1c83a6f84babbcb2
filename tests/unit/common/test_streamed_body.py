"""A body of an import: how much of it is progress."""

import asyncio

import pytest
from werkzeug.exceptions import RequestTimeout

from service.common.limits import IMPORT_PROGRESS_BYTES, PROGRESS_SECONDS
from service.common.middleware.streamed_body import StreamedBody
from service.common.transfers import Transfer


@pytest.mark.limit("IMPORT_PROGRESS_BYTES", "PROGRESS_SECONDS")
@pytest.mark.parametrize("enough", [True, False])
async def test_the_deadline_of_a_body_is_renewed_by_enough_bytes(
    monkeypatch: pytest.MonkeyPatch, enough: bool
) -> None:
    loop = asyncio.get_running_loop()
    begin = now = loop.time()
    size = IMPORT_PROGRESS_BYTES.value - (not enough)
    body = StreamedBody(None, None)
    read = bytearray()

    async def read_all() -> None:
        async for piece in body.pieces(PROGRESS_SECONDS.value, Transfer()):
            read.extend(piece)

    async def settle() -> None:
        for _ in range(50):
            await asyncio.sleep(0)

    monkeypatch.setattr(loop, "time", lambda: now)
    reader = asyncio.create_task(read_all())
    await settle()
    now = begin + PROGRESS_SECONDS.value - 1
    body.append(b" " * size)
    await settle()
    waiting = not reader.done()
    now = begin + PROGRESS_SECONDS.value + 1
    await settle()
    monkeypatch.undo()
    body.set_complete()

    assert (waiting, len(read)) == (True, size)
    if enough:
        await reader
    else:
        with pytest.raises(RequestTimeout):
            await reader


async def test_a_transfer_may_be_ended_when_its_time_is_over_already() -> None:
    transfer = Transfer()
    body = StreamedBody(None, None)

    async def read() -> None:
        async for _ in body.pieces(0, transfer):
            pass

    reader = asyncio.create_task(read())
    await asyncio.sleep(0)
    # Its time ends in the next iteration of the loop, before this goes on.
    await asyncio.sleep(0)
    transfer.end()

    with pytest.raises(RequestTimeout):
        await reader
