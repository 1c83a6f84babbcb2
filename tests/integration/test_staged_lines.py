"""Records that are staged while a client sends them, and stored when all are there."""

import json
from collections.abc import AsyncIterator

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from service import limits
from service.common.bulk.lines import STAGED_RECORDS, Lines, Rows
from service.common.bulk.ndjson import NdjsonReader
from service.common.bulk.staging import StagedLines
from service.common.errors import Fault, InvalidAPIRequest
from tests.blueprints.item.backend import ITEM
from tests.blueprints.item.payloads import CreateItem
from tests.factories import item

PIECE = 1 << 12
READ = """
SELECT seq_tup_read + idx_tup_fetch FROM pg_stat_xact_user_tables
WHERE relid = 'item_lines'::regclass
"""


class Steps:
    """Notes what is done, and finds as many taken e-mails in each statement."""

    def __init__(self, taken: int = 0) -> None:
        self.staged: list[int] = []
        self.checked: list[tuple[int, int]] = []
        self.ranges: list[tuple[int, int]] = []
        self._taken = taken

    async def stage(self, rows: Rows) -> None:
        assert not self.checked
        self.staged.append(len(rows))

    async def check(self, first: int, last: int) -> list[Fault]:
        assert not self.ranges
        self.checked.append((first, last))
        return [Fault("/email", "uniqueItems", "", first + n) for n in range(self._taken)]

    async def insert(self, first: int, last: int) -> list[Fault]:
        self.ranges.append((first, last))
        return []


def read(*texts: bytes) -> Lines:
    data = b"".join(texts)

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(data), PIECE):
            yield data[start : start + PIECE]

    return Lines(pieces(), NdjsonReader(10_000), CreateItem)


def ndjson(count: int) -> bytes:
    return "".join(f"{json.dumps(item())}\n" for _ in range(count)).encode()


async def test_nothing_is_stored_before_all_is_read_and_each_line_once() -> None:
    steps = Steps()
    # Lines without text cost no statement.
    count = await read(ndjson(3 * STAGED_RECORDS), b"\n" * 20 * STAGED_RECORDS, ndjson(1)).store(
        steps
    )
    ends = [last for _, last in steps.ranges]

    assert count == sum(steps.staged) == 3 * STAGED_RECORDS + 1
    assert steps.checked == steps.ranges
    assert len(steps.staged) == len(steps.ranges) <= 8
    assert [first for first, _ in steps.ranges] == [1, *(end + 1 for end in ends[:-1])]
    assert ends[-1] == 23 * STAGED_RECORDS + 1


async def test_nothing_more_is_checked_after_a_hundred_faults_up_to_that_line() -> None:
    steps = Steps(taken=limits.FAULTS.value // 2)
    with pytest.raises(InvalidAPIRequest) as refused:
        # Faults after these lines do not count.
        await read(ndjson(4 * STAGED_RECORDS), b"[]\n" * 60).store(steps)
    lines = [fault.line for fault in refused.value.faults]

    assert steps.ranges == []
    assert len(steps.staged) > len(steps.checked) == 2
    assert lines == [
        first + number for first, _ in steps.checked for number in range(limits.FAULTS.value // 2)
    ]


async def test_each_statement_reads_no_other_lines_than_its_own(
    engine: AsyncEngine, empty_database: None
) -> None:
    size, batches = 500, 20
    rows = [(line, item()) for line in range(1, 1 + size * batches)]
    for _, record in rows[size - 1 :: size]:
        record["email"] = rows[0][1]["email"]
    async with AsyncSession(engine) as session:
        staged = StagedLines(session, ITEM)
        starts = range(0, len(rows), size)
        for start in starts:
            await staged.stage(rows[start : start + size])
        taken = [await staged.check(start + 1, start + size) for start in starts]
        checked = await session.scalar(text(READ))
        found = [await staged.insert(start + 1, start + size) for start in starts]
        seen = await session.scalar(text(READ))

    assert [[fault.line for fault in faults] for faults in found] == [[n + size] for n in starts]
    assert [*map(len, taken)] == [1] * batches
    # Each line, and the earlier ones with its e-mail.
    assert checked <= 3 * len(rows)
    # To store them, and to find those that were not.
    assert seen - checked == 2 * len(rows)
