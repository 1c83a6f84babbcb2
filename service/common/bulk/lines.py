"""The lines of a body, each validated by the schema file of a record as it arrives."""

from collections.abc import AsyncIterator, Collection, Iterable, Iterator
from dataclasses import replace
from hashlib import sha256
from itertools import pairwise
from math import inf
from re import Pattern
from typing import Any, Protocol

from service.common.bulk.ndjson import ReadRecord
from service.common.contract import Payload, StreamedPayload
from service.common.errors import MAX_FAULTS, Fault, InvalidAPIRequest

# The number of records, and the bytes of the body, that are copied to the database together. About
# as many are in memory. One statement stores them.
STAGED_RECORDS = 5000
STAGED_BYTES = 1 << 18

Rows = list[tuple[int, dict[str, Any]]]


class Reader(Protocol):
    """A parser of bytes, as they arrive, to values with their line numbers and faults.

    `content` matches a byte that no skipped line has.
    """

    content: Pattern[bytes]

    def feed(self, data: bytes) -> Iterator[ReadRecord]:
        """Yield the records that `data` completes."""

    def close(self) -> Iterator[ReadRecord]:
        """Yield the last record."""


class Staged(Protocol):
    """A store for records until the body is complete."""

    async def stage(self, rows: Rows) -> None:
        """Add records."""

    async def check(self, first: int, last: int) -> list[Fault]:
        """Return the faults of these lines that only the database can find."""

    async def insert(self, first: int, last: int) -> list[Fault]:
        """Store the records of these lines; return the faults since `check`."""


class Lines(StreamedPayload):
    """The records of a body, which is read once.

    Properties in `ignored`, which clients can't set, are accepted, so that an export can be
    imported.
    """

    def __init__(
        self,
        data: AsyncIterator[bytes],
        reader: Reader,
        model: type[Payload],
        ignored: Collection[str] = (),
    ) -> None:
        self._data = data
        self._reader = reader
        self._model = model
        self._ignored = frozenset(ignored)
        self._digest = sha256()
        self._faults: list[Fault] = []
        self._batches = self._read()
        self._first: Rows | None = None

    async def read_first(self) -> None:
        """Read the first records, before the caller takes a connection or a lock."""
        self._first = await anext(self._batches, None)

    async def store(self, staged: Staged) -> int:
        """Store all records and return their number.

        While the client sends, they are only staged: a slow client must not delay others. Raises
        InvalidAPIRequest (422) with the first 100 faults by line; then the transaction must be
        rolled back.
        """
        count = 0
        ends = [0]
        if self._first is None:
            await self.read_first()
        rows = self._first
        while rows is not None:
            await staged.stage(rows)
            count += len(rows)
            ends.append(rows[-1][0])
            rows = None if self._is_hopeless() else await anext(self._batches, None)
        # All are checked before the first is stored: uncommitted records slow down reads of others.
        for step in (staged.check, staged.insert):
            for before, last in pairwise(ends):
                self._faults += await step(before + 1, last)
                if self._is_hopeless(last):
                    break
            if self._faults:
                break
        if self._faults:
            faults = sorted(self._faults, key=lambda fault: fault.line or 0)
            raise InvalidAPIRequest(status_code=422, faults=faults)
        return count

    async def fingerprint(self) -> bytes:
        """Read the rest of the body, and return a hash of all of it."""
        async for data in self._data:
            self._digest.update(data)
        return self._digest.digest()

    def _is_hopeless(self, last: float = inf) -> bool:
        """Return whether there are as many faults up to this line as are reported."""
        return sum((fault.line or 0) <= last for fault in self._faults) >= MAX_FAULTS

    async def _read(self) -> AsyncIterator[Rows]:
        """Yield the records without a fault, until there are too many faults."""
        rows: Rows = []
        size = 0
        async for data in self._data:
            self._digest.update(data)
            rows += self._check(self._reader.feed(data))
            # Only lines with records take memory.
            size = size + len(data) if rows else 0
            if len(rows) >= STAGED_RECORDS or size >= STAGED_BYTES:
                yield rows
                rows, size = [], 0
            if self._is_hopeless():
                break
        else:
            rows += self._check(self._reader.close())
        if rows:
            yield rows

    def _check(self, records: Iterable[ReadRecord]) -> Iterator[tuple[int, dict[str, Any]]]:
        for number, read, found in records:
            try:
                payload = self._model.check(self._without_ignored(read), found)
            except InvalidAPIRequest as error:
                self._faults += [replace(fault, line=number) for fault in error.faults]
                if self._is_hopeless():
                    return
            else:
                yield number, payload.model_dump()

    def _without_ignored(self, value: object) -> object:
        if not isinstance(value, dict) or self._ignored.isdisjoint(value):
            return value
        return {name: value[name] for name in value if name not in self._ignored}
