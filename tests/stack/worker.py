"""One client: it sends a mix of requests about records of its own, one after another."""

from itertools import count
from typing import Any

from tests.stack.connection import Answer, Connection, UnansweredError
from tests.stack.journal import Journal, Record
from tests.stack.tally import Tally

# More is created than deleted, so that there is always something to read.
MIX = [
    *("create", "read", "create", "update", "read", "page", "create", "head", "read", "delete"),
    *("read", "create", "update_if_current", "read", "update_if_stale", "read", "create_taken"),
    *("create", "read", "update", "delete", "read"),
]


class Worker:
    """It alone writes its records, so it knows what each of them must be."""

    def __init__(self, journal: Journal, tally: Tally, connection: Connection, number: int) -> None:
        self._journal, self._tally, self._connection = journal, tally, connection
        self._number = number
        self._records: list[Record] = []
        self._turns = count()

    async def step(self, turn: int) -> None:
        """Send the next request of the mix; each worker begins elsewhere in it."""
        kind = MIX[(turn + self._number) % len(MIX)]
        if not self._records or kind == "create":
            await self.create()
            return
        record = self._records[turn % len(self._records)]
        await getattr(self, kind)(record)
        if not record.usable or None in record.allowed:
            self._records.remove(record)

    async def create(self) -> None:
        """Create a record."""
        record = self._journal.new_record()
        name = self._journal.new_name()
        payload = {"name": name, "email": record.email}
        if await self._write(record, name, "POST", "/foss", payload, 201):
            self._records.append(record)

    async def create_taken(self, record: Record) -> None:
        """Try to create a record whose e-mail address is taken."""
        name = self._journal.new_name()
        payload = {"name": name, "email": record.email}
        await self._write(record, name, "POST", "/foss", payload, 409)

    async def update(self, record: Record, expected: int = 200, **headers: str) -> None:
        """Change the name of a record."""
        name = self._journal.new_name()
        target = f"/foss/{record.id}"
        await self._write(record, name, "PUT", target, {"name": name}, expected, headers)

    async def update_if_current(self, record: Record) -> None:
        """Change a record on a condition that holds."""
        await self.update(record, 200, **{"If-Match": record.etag})

    async def update_if_stale(self, record: Record) -> None:
        """Try to change a record on a condition that does not hold."""
        await self.update(record, 412, **{"If-Match": '"0"'})

    async def delete(self, record: Record) -> None:
        """Delete a record."""
        await self._write(record, None, "DELETE", f"/foss/{record.id}", None, 200)

    async def read(self, record: Record) -> None:
        """Read a record, which must be what was last acknowledged."""
        answer = await self._send("GET", f"/foss/{record.id}", 200)
        if answer and answer.status == 200:
            self._check(record, answer.json())
        elif answer and answer.status == 404:
            self._tally.wrong_answers.append(f"{record.email} is not found")

    async def head(self, record: Record) -> None:
        """Ask for the headers of a record."""
        await self._send("HEAD", f"/foss/{record.id}", 200)

    async def page(self, _record: Record) -> None:
        """Read a page of the collection."""
        answer = await self._send("GET", "/foss?limit=20", 200)
        if answer and answer.status == 200 and not isinstance(answer.json(), list):
            self._tally.wrong_answers.append("A list is not an array")

    async def _write(
        self,
        record: Record,
        state: str | None,
        method: str,
        target: str,
        payload: Any,
        expected: int,
        headers: dict[str, str] | None = None,
    ) -> bool:
        """Send a write and journal what its answer says; return whether it was stored."""
        answer = await self._send(method, target, expected, payload, headers)
        record.settle(state, answer.status if answer else None)
        if answer is None or answer.status >= 300:
            return False
        if state is not None and self._check(record, answer.json()):
            record.id = answer.json()["id"]
            record.etag = answer.headers.get("etag", "")
        return True

    def _check(self, record: Record, body: Any) -> bool:
        """Hold a representation against the journal."""
        is_right = (
            isinstance(body, dict)
            and body.get("email") == record.email
            and body.get("name") in record.allowed
            and record.id in {0, body.get("id")}
        )
        if not is_right:
            self._tally.wrong_answers.append(f"{record.email} was answered as {body!r}")
        return is_right

    async def _send(
        self,
        method: str,
        target: str,
        expected: int,
        payload: Any = None,
        headers: dict[str, str] | None = None,
    ) -> Answer | None:
        request_id = f"{self._journal.run}-{self._number}-{next(self._turns)}"
        fields = {"X-Request-ID": request_id, **(headers or {})}
        self._tally.requests += 1
        try:
            answer = await self._connection.request(method, target, payload, fields)
        except UnansweredError as error:
            self._tally.fail(method, str(error), request_id)
            return None
        self._tally.count(method, answer, expected, request_id)
        return answer
