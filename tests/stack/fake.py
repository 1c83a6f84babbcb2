"""A service in memory that can be configured to lie about a write."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
from itertools import count
from typing import Any

from tests.stack.journal import Row

TYPES = {
    404: "RecordNotFound",
    409: "RecordAlreadyExists",
    412: "PreconditionFailed",
    503: "DatabaseError",
}


@dataclass
class Fake:
    """Foss in memory. `lie` is what goes wrong with the first `method`, and with that alone."""

    lie: str = ""
    method: str = "POST"
    url: str = ""
    stored: dict[int, Row] = field(default_factory=dict)
    told: bool = False
    numbers: Iterator[int] = field(default_factory=lambda: count(1))

    def respond(self, method: str, target: str, headers: dict[str, str], body: Any) -> Any:
        """Return a status and what to send; None: hang up."""
        before = dict(self.stored)
        status, answer = self._act(method, target, headers, body)
        if not self.lie or self.told or method != self.method or status >= 300:
            return status, answer
        self.told = True
        if "lose" in self.lie:
            self.stored = before
        if "change" in self.lie:
            last = self.stored[max(self.stored)]
            self.stored[last.id] = Row(last.id, last.email, "Something else")
        if "hang up" in self.lie:
            return None
        return (503, None) if "refuse" in self.lie else (status, answer)

    def _act(self, method: str, target: str, headers: dict[str, str], body: Any) -> Any:
        if "?" in target:
            return 200, [asdict(row) for row in self.stored.values()]
        if method == "POST":
            if any(row.email == body["email"] for row in self.stored.values()):
                return 409, None
            row = Row(next(self.numbers), body["email"], body["name"])
            self.stored[row.id] = row
            return 201, asdict(row)
        found = self.stored.get(int(target.rpartition("/")[2]))
        if found is None or headers.get("if-match") == '"0"':
            return (412 if found else 404), None
        if method == "PUT":
            found = self.stored[found.id] = Row(found.id, found.email, body["name"])
        if method == "DELETE":
            del self.stored[found.id]
        return 200, asdict(found)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection."""
        while first := await reader.readline():
            lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")[:-2]
            headers = {name.lower(): value for name, value in (li.split(": ", 1) for li in lines)}
            sent = await reader.readexactly(int(headers.get("content-length", "0")))
            method, target, _ = first.decode().split(" ")
            response = self.respond(method, target, headers, json.loads(sent or b"null"))
            if response is None:
                break
            status, answer = response
            writer.write(rendered(method, status, answer, headers.get("x-request-id", "none")))
        writer.close()


def rendered(method: str, status: int, answer: Any, request_id: str) -> bytes:
    """Return the bytes of a response; those of a refusal are as the contract wants them."""
    if status >= 400:
        facts = {"code": status, "type": TYPES[status], "message": "No."}
        answer = {"error": {**facts, "request_id": request_id}}
    body = json.dumps(answer).encode()
    head = (
        f"HTTP/1.1 {status} Any\r\nContent-Type: application/json\r\nRetry-After: 1\r\n"
        f'X-Request-ID: {request_id}\r\nETag: "1"\r\nContent-Length: {len(body)}\r\n\r\n'
    )
    return head.encode() + (b"" if method == "HEAD" else body)


@asynccontextmanager
async def serving(lie: str = "", method: str = "POST") -> AsyncIterator[Fake]:
    """Serve on a port of its own."""
    fake = Fake(lie, method)
    server = await asyncio.start_server(fake.serve, "127.0.0.1", 0)
    fake.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    yield fake
    server.close()
