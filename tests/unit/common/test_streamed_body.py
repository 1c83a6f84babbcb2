"""A body of an import: how much of it is progress."""

import asyncio
import re

import pytest

from service.common.bulk.csv_reader import CsvReader
from service.common.bulk.ndjson import NdjsonReader
from service.common.database.transfers import Transfer
from service.common.errors import RequestTimeout
from service.common.web.bodies import PIECE_BYTES, StreamedBody
from service.limits import PROGRESS_SECONDS, TRANSFER_BYTES

# Content of which every line has some.
ANY = re.compile(b"(?s).")


async def settle() -> None:
    """Let every task run until it waits."""
    for _ in range(50):
        await asyncio.sleep(0)


@pytest.mark.limit("TRANSFER_BYTES", "PROGRESS_SECONDS")
@pytest.mark.parametrize(
    ("data", "missing", "ended"),
    [(b"x", 0, False), (b"x", 1, True), (b"\n", 0, True), (b" ", 0, True), (b",\r\n", 0, True)],
)
async def test_a_body_is_waited_for_as_long_as_enough_bytes_of_records_arrive(
    monkeypatch: pytest.MonkeyPatch, data: bytes, missing: int, ended: bool
) -> None:
    loop = asyncio.get_running_loop()
    begin = now = loop.time()
    size = TRANSFER_BYTES.value - missing
    body = StreamedBody(None, None)
    read = bytearray()

    async def read_all() -> None:
        async for piece in body.pieces(Transfer(), asyncio.Lock(), ANY):
            read.extend(piece)

    monkeypatch.setattr(loop, "time", lambda: now)
    reader = asyncio.create_task(read_all())
    await settle()
    now = begin + PROGRESS_SECONDS.value - 1
    body.append((data * size)[:size])
    while len(read) < size:  # noqa: ASYNC110  # Polling: there is no event.
        await asyncio.sleep(0)
    await settle()
    waiting = not reader.done()
    now = begin + PROGRESS_SECONDS.value + 1
    await settle()
    monkeypatch.undo()
    body.set_complete()

    assert waiting
    if ended:
        with pytest.raises(RequestTimeout):
            await reader
    else:
        await reader


async def test_a_transfer_that_is_ended_as_more_arrives_does_not_continue() -> None:
    transfer = Transfer()
    body = StreamedBody(None, None)
    first = asyncio.ensure_future(anext(body.pieces(transfer, asyncio.Lock(), ANY)))
    await settle()
    body.append(b"x")
    transfer.end("TRANSFER_BYTES", "a test")

    with pytest.raises(RequestTimeout):
        await first


async def test_bodies_that_share_a_turn_yield_one_piece_in_each_iteration() -> None:
    turn, counts = asyncio.Lock(), [0]

    async def read(body: StreamedBody) -> None:
        async for _ in body.pieces(Transfer(), turn, ANY):
            counts[-1] += 1

    bodies = [StreamedBody(None, None) for _ in range(4)]
    for body in bodies:
        body.append(bytes(5 * PIECE_BYTES))
        body.set_complete()
    reading = [asyncio.create_task(read(body)) for body in bodies]
    while not all(task.done() for task in reading):
        await asyncio.sleep(0)
        counts.append(0)

    assert sum(counts) == 20
    assert max(counts) == 1


async def test_a_body_that_waits_for_its_reader_keeps_no_turn() -> None:
    turn = asyncio.Lock()
    slow, other = StreamedBody(None, None), StreamedBody(None, None)
    for body in (slow, other):
        body.append(bytes(PIECE_BYTES))
    await anext(slow.pieces(Transfer(), turn, ANY))

    assert await asyncio.wait_for(anext(other.pieces(Transfer(), turn, ANY)), 10) == bytes(
        PIECE_BYTES
    )


@pytest.mark.parametrize(
    ("reader", "data", "is_skipped"),
    [
        (CsvReader, b",\r\n,,\n\n", True),
        (NdjsonReader, b" \t\r\n\v\f\n", True),
        # Values of white space are records: an attacker sends thousands of them at once.
        (CsvReader, b" , \n", False),
        (CsvReader, b"\t,\t\n", False),
        (NdjsonReader, b",\n", False),
    ],
)
async def test_only_lines_that_are_skipped_are_read_in_one_piece(
    reader: type[CsvReader | NdjsonReader], data: bytes, is_skipped: bool
) -> None:
    body = StreamedBody(None, None)
    body.append(data * (3 * PIECE_BYTES))
    body.set_complete()
    pieces = [one async for one in body.pieces(Transfer(), asyncio.Lock(), reader.content)]

    assert b"".join(pieces) == data * (3 * PIECE_BYTES)
    assert max(map(len, pieces)) == (len(data) * 3 * PIECE_BYTES if is_skipped else PIECE_BYTES)
