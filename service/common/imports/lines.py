"""The lines of a body: each checked by the schema file of a record, while they come."""

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable, Iterator
from dataclasses import replace
from hashlib import sha256
from typing import Any, Protocol

from service.common.exceptions import MAX_FAULTS, Fault, InvalidAPIRequest
from service.common.imports.ndjson import Record
from service.common.validation import Payload

# How many records go to the database at once; so many are in memory, and not many more.
BATCH = 5000

Rows = list[tuple[int, dict[str, Any]]]


class Reader(Protocol):
    """A way to read bytes, as they come, to values with their lines and faults."""

    def feed(self, data: bytes) -> Iterator[Record]:
        """Yield what `data` completes."""

    def close(self) -> Iterator[Record]:
        """Yield what is left."""


class Lines:
    """The records of a body, which is read once.

    `ignored` are the properties that a record has, but no client can set: what was exported can be
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

    async def store(self, insert: Callable[[Rows], Awaitable[list[Fault]]]) -> int:
        """Hand on all records, some at a time, and return how many there were.

        `insert` returns the faults that only the database can find. Raises InvalidAPIRequest
        (422): the first 100 faults by line; then nothing of this may stay stored.
        """
        count = 0
        async for rows in self._batches():
            self._faults += await insert(rows)
            count += len(rows)
            if len(self._faults) >= MAX_FAULTS:
                break
        if self._faults:
            faults = sorted(self._faults, key=lambda fault: fault.line or 0)
            raise InvalidAPIRequest(status_code=422, faults=faults)
        return count

    async def fingerprint(self) -> bytes:
        """Return a short name for the whole body, the rest of which is read for it."""
        async for data in self._data:
            self._digest.update(data)
        return self._digest.digest()

    async def _batches(self) -> AsyncIterator[Rows]:
        """Yield the records without a fault, up to that line by which there are too many faults."""
        rows: Rows = []
        async for data in self._data:
            self._digest.update(data)
            rows += self._check(self._reader.feed(data))
            if len(rows) >= BATCH:
                yield rows
                rows = []
            if len(self._faults) >= MAX_FAULTS:
                break
        else:
            rows += self._check(self._reader.close())
        if rows:
            yield rows

    def _check(self, records: Iterable[Record]) -> Iterator[tuple[int, dict[str, Any]]]:
        schema = self._model.contract()
        for number, read, found in records:
            value = self._without_ignored(read)
            if faults := found or schema.faults(value):
                self._faults += [replace(fault, line=number) for fault in faults]
                if len(self._faults) >= MAX_FAULTS:
                    return
            else:
                yield number, self._model.model_validate(value).model_dump()

    def _without_ignored(self, value: object) -> object:
        if not isinstance(value, dict) or self._ignored.isdisjoint(value):
            return value
        return {name: value[name] for name in value if name not in self._ignored}
