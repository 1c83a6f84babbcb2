"""Many requests with a random fault each; then the books: what was answered is what is stored."""

import asyncio
import signal
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import cycle
from random import Random
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.faults.conftest import Target
from tests.faults.proxy import Stage
from tests.stack.journal import Journal, Record, Row

CLIENTS = 8
# How often a request with a key is sent until it is answered 201, and how long a client waits.
ATTEMPTS, PAUSE = 200, 0.05
# Faults beside those of the stages of a statement: the client leaves, or any connection is cut.
LEAVE, CUT = "leave", "cut"
AUTOCOMMIT = (Stage.BEFORE, Stage.DURING, Stage.AFTER)
ROWS = "SELECT id, email, name, row_version FROM item ORDER BY id"
KEYS = "SELECT count(*) FROM idempotencykey"


@dataclass
class Books:
    """What clients have sent, and what they were answered."""

    target: Target
    random: Random
    journal: Journal = field(default_factory=lambda: Journal(uuid4().hex[:12]))
    keys: int = 0
    statuses: Counter[int | None] = field(default_factory=Counter)

    async def send(self, count: int) -> None:
        """Send so many requests, each with a fault."""
        numbers = iter(range(count))
        async with asyncio.TaskGroup() as group:
            for _ in range(CLIENTS):
                group.create_task(self._work(numbers))

    async def _work(self, numbers: Any) -> None:
        records: list[Record] = []
        async with self.target.client() as client:
            for _ in numbers:
                act = self.random.choice(
                    (self._create, self._create_with_key, self._change, self._delete)
                )
                record = self.random.choice(records) if records else None
                if record is None or act in {self._create, self._create_with_key}:
                    record = self.journal.new_record()
                    records.append(record)
                    act = act if act == self._create else self._create_with_key
                await act(client, record)
                records = [one for one in records if one.usable and None not in one.allowed]

    async def _create(self, client: httpx.AsyncClient, record: Record) -> None:
        name = f"{self.journal.new_name()}."
        payload = {"name": name, "email": record.email}
        response = await self._send(AUTOCOMMIT, name, client, "POST", "/item", json=payload)
        settle(record, name, response)

    async def _create_with_key(self, client: httpx.AsyncClient, record: Record) -> None:
        self.keys += 1
        name = f"{self.journal.new_name()}."
        payload = {"name": name, "email": record.email}
        headers = {"Idempotency-Key": uuid4().hex}
        options: dict[str, Any] = {"json": payload, "headers": headers}
        response = await self._send((*Stage,), name, client, "POST", "/item", **options)
        for _ in range(ATTEMPTS):
            if response is not None and response.status_code == 201:
                break
            # Its first attempt may be in progress, or the database be down.
            await asyncio.sleep(PAUSE)
            response = await client.post("/item", **options)
            self.statuses[response.status_code] += 1
        settle(record, name, response)

    async def _change(self, client: httpx.AsyncClient, record: Record) -> None:
        name = f"{self.journal.new_name()}."
        url = f"/item/{record.id}"
        response = await self._send(AUTOCOMMIT, name, client, "PUT", url, json={"name": name})
        settle(record, name, response)

    async def _delete(self, client: httpx.AsyncClient, record: Record) -> None:
        response = await self._send((), "", client, "DELETE", f"/item/{record.id}")
        settle(record, None, response)

    async def _send(
        self,
        stages: tuple[Stage, ...],
        marker: str,
        client: httpx.AsyncClient,
        *request: str,
        **options: Any,
    ) -> httpx.Response | None:
        """Send a request with one of the faults; return its response, None if there is none."""
        fault = self.random.choice((*stages, LEAVE, CUT))
        proxy = self.target.proxy
        response = None
        if fault == LEAVE:
            await self._leave(client.build_request(*request, **options))
        elif isinstance(fault, Stage):
            with proxy.trap(fault, marker):
                response = await client.request(*request, **options)
        else:
            proxy.cut_one(self.random)
            response = await client.request(*request, **options)
        self.statuses[None if response is None else response.status_code] += 1
        return response

    async def _leave(self, request: httpx.Request) -> None:
        """Send a request on a connection of its own, and close it at any moment."""
        _, writer = await asyncio.open_connection("127.0.0.1", self.target.service.port)
        head = [b"%s: %s" % field for field in request.headers.raw]
        target = b"%s %s HTTP/1.1" % (request.method.encode(), request.url.raw_path)
        writer.write(b"\r\n".join([target, *head, b"", request.content]))
        await asyncio.sleep(self.random.uniform(0, 0.02))
        writer.transport.abort()

    async def faults(self) -> list[str]:
        """Return what is stored but was not answered so, and the other way round."""
        await self.target.is_idle_at_the_server()
        rows = [line.split("|") for line in (await self.target.sql(ROWS)).splitlines()]
        found = self.journal.compare(Row(int(id_), email, name) for id_, email, name, _ in rows)
        faults = [*found.lost, *(set(found.ghosts) - set(found.ghosts_of_503))]
        for _, email, name, version in rows:
            record = self.journal.records[email]
            # Acknowledged, and no later change has an unknown outcome: done exactly once.
            if record.allowed == {name} and record.etag != f'"{version}"' and record.usable:
                faults.append(f"{email} has version {version}, not {record.etag}")
        return faults


def settle(record: Record, state: str | None, response: httpx.Response | None) -> None:
    """Note how a write was answered."""
    record.settle(state, None if response is None else response.status_code)
    if response is not None and response.is_success and state is not None:
        record.id, record.etag = response.json()["id"], response.headers["ETag"]


@asynccontextmanager
async def nothing_more(target: Target) -> AsyncIterator[None]:
    """Leave the server alone."""
    yield


@asynccontextmanager
async def server_faults(target: Target) -> AsyncIterator[None]:
    """Kill, stop and freeze the server all the time; in the end it runs."""
    database, ended = target.database, asyncio.Event()

    async def strike() -> None:
        for by in cycle((signal.SIGKILL, signal.SIGQUIT, signal.SIGINT, signal.SIGSTOP)):
            await asyncio.sleep(2)
            if ended.is_set():
                return
            if by == signal.SIGSTOP:
                with database.frozen():
                    await asyncio.sleep(0.5)
            else:
                await asyncio.to_thread(database.stop, by)
                await asyncio.to_thread(database.start)

    async with asyncio.TaskGroup() as group:
        group.create_task(strike())
        yield
        ended.set()


@pytest.mark.parametrize(
    ("count", "more"),
    [
        pytest.param(200, nothing_more, id="200"),
        pytest.param(10_000, server_faults, id="10000", marks=pytest.mark.long),
    ],
)
async def test_what_was_answered_2xx_is_stored_once_and_what_is_stored_else_was_answered_5xx(
    target: Target, count: int, more: Any
) -> None:
    books = Books(target, Random(count))  # noqa: S311  # To repeat a run.
    async with more(target):
        await books.send(count)
    faults = await books.faults()

    assert faults == []
    # A request with a key that was repeated until its 201 is stored once.
    assert await target.sql(KEYS) == str(books.keys)
    # A key that is still in use is a 409.
    assert {200, 201, 503} <= set(books.statuses) <= {200, 201, 409, 503, 504, None}
