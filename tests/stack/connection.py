"""A keep-alive connection of HTTP/1.1, a tenth of the cost of a full client's."""

import asyncio
import json
from dataclasses import dataclass
from typing import Any


class UnansweredError(Exception):
    """The connection broke, or the answer did not come in time."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole response; the names of the headers are in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        """Return the body as data; None if it is not JSON."""
        try:
            return json.loads(self.body)
        except ValueError:
            return None


class Connection:
    """One request at a time; reconnects if the server has closed.

    No request is repeated: a repetition would hide what is measured here.
    """

    def __init__(self, host: str, port: int, headers: dict[str, str], timeout: float) -> None:
        self._host, self._port, self._timeout = host, port, timeout
        self._headers = {"Host": f"{host}:{port}", **headers}
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def request(
        self, method: str, target: str, payload: Any, headers: dict[str, str]
    ) -> Answer:
        """Send a request and read its answer; raise UnansweredError without one."""
        body = b"" if payload is None else json.dumps(payload).encode()
        stage = "connect"
        try:
            async with asyncio.timeout(self._timeout):
                reader, writer = await self._streams()
                stage = "answer"
                writer.write(self._head(method, target, headers, body) + body)
                answer = await read_answer(reader, method)
        except (OSError, EOFError, ValueError) as error:
            self.close()
            raise UnansweredError(f"{stage}: {type(error).__name__}") from error
        if answer.headers.get("connection", "").lower() == "close":
            self.close()
        return answer

    def close(self) -> None:
        """Close; the next request opens anew."""
        if self._writer is not None:
            self._writer.close()
        self._reader = self._writer = None

    async def _streams(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._reader is None or self._writer is None or self._reader.at_eof():
            self.close()
            self._reader, self._writer = await asyncio.open_connection(self._host, self._port)
        return self._reader, self._writer

    def _head(self, method: str, target: str, headers: dict[str, str], body: bytes) -> bytes:
        fields = {**self._headers, **headers}
        if body:
            fields |= {"Content-Type": "application/json", "Content-Length": str(len(body))}
        lines = [f"{method} {target} HTTP/1.1", *(f"{k}: {v}" for k, v in fields.items())]
        return "\r\n".join([*lines, "", ""]).encode()


async def read_answer(reader: asyncio.StreamReader, method: str) -> Answer:
    """Read one response; raise an EOFError or a ValueError if it is truncated or malformed."""
    status, headers = await read_head(reader)
    if method == "HEAD" or status in {204, 304}:
        body = b""
    elif headers.get("transfer-encoding", "").lower() == "chunked":
        body = b"".join([chunk async for chunk in read_chunks(reader)])
    else:
        body = await reader.readexactly(int(headers["content-length"]))
    return Answer(status, headers, body)


async def read_head(reader: asyncio.StreamReader) -> tuple[int, dict[str, str]]:
    """Read the status and the headers."""
    first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")[:-2]
    pairs = (line.partition(":") for line in lines)
    return int(first.split(" ")[1]), {name.lower(): value.strip() for name, _, value in pairs}


async def read_chunks(reader: asyncio.StreamReader) -> Any:
    """Yield the chunks of a body of unknown length."""
    while size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
        yield await reader.readexactly(size)
        await reader.readexactly(2)
    await reader.readuntil(b"\r\n")
