"""Ordinary requests: read by one regular expression, answered without h11.

A request is ordinary if all of it arrives at once and it needs nothing that h11 decides: HTTP/1.1,
one `Host`, a plain `Content-Length` or none. h11 handles all others. What is read here is what h11
would read from the same bytes (tests/unit/server/test_ordinary.py).
"""

import asyncio
import re
from collections.abc import Iterable
from time import time
from typing import Any, NamedTuple
from urllib.parse import unquote

from hypercorn.protocol.events import Event, StreamClosed

from service.limits import HEAD_BYTES, HEADER_FIELDS

# Possessive, so in linear time: a head that does not match is not tried in another way.
HEAD = re.compile(
    rb"([A-Z]++) ([!-~]++) HTTP/1\.1\r\n"
    rb"((?:[-!#$%&'*+.^_`|~0-9A-Za-z]++:[\t -~\x80-\xff]*+\r\n)++)\r\n"
)
HEADER_LINE = re.compile(rb"([^:]++):[\t ]*+([^\r]*+)\r\n")
DIGITS = re.compile(rb"[0-9]{1,9}")
# The fields of ordinary requests that h11 acts upon, and all that it acts upon.
ORDINARY_FIELDS = frozenset({b"connection", b"content-length", b"host"})
FIELDS_OF_H11 = ORDINARY_FIELDS | {b"expect", b"transfer-encoding", b"upgrade"}
KEEP_ALIVE = b"keep-alive"
WITHOUT_BODY = frozenset({204, 304})
LAST_CHUNK = b"0\r\n\r\n"


class OrdinaryRequest(NamedTuple):
    """A request with its whole body."""

    method: str
    target: bytes
    headers: list[tuple[bytes, bytes]]
    body: bytes
    # The position of what follows it.
    end: int


def read_request(data: bytes, start: int = 0) -> OrdinaryRequest | None:
    """Return the request that begins at a position; None if it is not an ordinary one."""
    found = HEAD.match(data, start)
    if found is None or found.end() - start > HEAD_BYTES.value or found[1] == b"CONNECT":
        return None
    # h11 rejects more of them; before they are split.
    if found[3].count(b"\n") > HEADER_FIELDS.value:
        return None
    headers = [
        (name.lower(), value.rstrip(b" \t")) for name, value in HEADER_LINE.findall(found[3])
    ]
    length = body_length(headers)
    if length is None:
        return None
    end = found.end() + length
    if end > len(data):
        return None
    return OrdinaryRequest(found[1].decode(), found[2], headers, data[found.end() : end], end)


def body_length(headers: list[tuple[bytes, bytes]]) -> int | None:
    """Return the length of the body; None if a field needs a decision by h11."""
    special = [field for field in headers if field[0] in FIELDS_OF_H11]
    fields = dict(special)
    length = fields.get(b"content-length", b"0")
    is_plain = (
        len(fields) == len(special)
        and b"host" in fields
        and fields.keys() <= ORDINARY_FIELDS
        and fields.get(b"connection", KEEP_ALIVE).lower() == KEEP_ALIVE
        and DIGITS.fullmatch(length)
    )
    return int(length) if is_plain else None


class OrdinaryStream:
    """An ordinary request and its response, in the place of hypercorn's stream.

    It passes ASGI's messages between the application and `protocol`, a Http1Protocol.
    """

    def __init__(self, protocol: Any, request: OrdinaryRequest) -> None:
        path, _, query = request.target.partition(b"?")
        self._protocol = protocol
        self._began = time()
        self._status = 0
        # Until it is written, together with the beginning of the body.
        self._head = b""
        self._is_chunked = False
        # The part of the body that is to come, by `Content-Length`.
        self._left = 0
        self._is_last = self._is_complete = False
        self._messages: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        message = {"type": "http.request", "body": request.body, "more_body": False}
        self._messages.put_nowait(message)
        state = protocol.connection_state.copy()
        if request.body:
            state["received_bytes"] = len(request.body)
        self.scope: dict[str, Any] = {
            "type": "http",
            "http_version": "1.1",
            "asgi": {"spec_version": "2.1", "version": "3.0"},
            "method": request.method,
            "scheme": "http",
            "path": unquote(path.decode("ascii")),
            "raw_path": path,
            "query_string": query,
            "root_path": protocol.config.root_path,
            "headers": request.headers,
            "client": protocol.client,
            "server": protocol.server,
            "state": state,
            "extensions": {},
        }

    async def handle(self, event: Event) -> None:
        """Report the request as aborted if the client disconnects before its response is sent."""
        if isinstance(event, StreamClosed):
            if not self._is_complete:
                self._is_complete = True
                await self._report(None)
            self._messages.put_nowait({"type": "http.disconnect"})

    async def run(self) -> None:
        """Call the application, and complete the response."""
        protocol = self._protocol
        try:
            await protocol.app(self.scope, self._messages.get, self.send, None, None)
        except Exception:  # noqa: BLE001  # As hypercorn: whatever the application raises.
            await protocol.config.log.exception("Error in ASGI Framework")
        finally:
            if not self._is_complete:
                await self._give_up()

    async def send(self, message: Any) -> None:
        """Take a message of the response; the head is written with the beginning of the body."""
        if message["type"] == "http.response.start":
            self._begin(message["status"], message["headers"])
            return
        if not self._status:
            raise RuntimeError("The body of a response begins before its status.")
        is_end = not message.get("more_body", False)
        data = self._framed(message.get("body", b""), is_end)
        if data or is_end:
            head, self._head = self._head, b""
            await self._protocol.send_joined(head, data)
        if is_end:
            await self._end()

    def _begin(self, status: int, headers: Iterable[tuple[bytes, bytes]]) -> None:
        fields = [(name, value.strip()) for name, value in headers]
        fields += self._protocol.config.response_headers("h11")
        values = {name.lower(): value for name, value in fields}
        options = values.get(b"connection", b"").lower().split(b",")
        self._is_last = b"close" in [one.strip() for one in options]
        if self._protocol.is_last_request() and not self._is_last:
            self._is_last = True
            fields.append((b"connection", b"close"))
        self._left = int(values.get(b"content-length", 0))
        self._is_chunked = b"content-length" not in values and status not in WITHOUT_BODY
        if self._is_chunked:
            fields.append((b"transfer-encoding", b"chunked"))
        lines = b"".join([b"%b: %b\r\n" % field for field in fields])
        if not lines.count(b"\r") == lines.count(b"\n") == len(fields) or b"\0" in lines:
            raise ValueError("A header of the response contains a line end or a NUL.")
        self._status, self._head = status, b"HTTP/1.1 %d \r\n%b\r\n" % (status, lines)

    def _framed(self, data: bytes, is_end: bool) -> bytes:
        """Return a part of the body as it is sent (RFC 9112, section 6)."""
        if self.scope["method"] == "HEAD" or self._status in WITHOUT_BODY:
            return b""
        if self._is_chunked:
            chunk = b"%x\r\n%b\r\n" % (len(data), data) if data else b""
            return chunk + LAST_CHUNK if is_end else chunk
        self._left -= len(data)
        if self._left < 0 or (is_end and self._left):
            raise ValueError("The body does not have the length of `Content-Length`.")
        return data

    async def _end(self) -> None:
        self._is_complete = True
        try:
            await self._report({"status": self._status, "headers": []})
        finally:
            await self._protocol.end_ordinary(self, is_last=self._is_last)

    async def _give_up(self) -> None:
        """Answer 500 if nothing was sent; else the client sees that the response is incomplete."""
        if not self._status or self._head:
            self._begin(500, [(b"content-length", b"0"), (b"connection", b"close")])
            await self._protocol.send_joined(self._head, b"")
            await self._end()
            return
        self._is_complete = True
        try:
            await self._report(None)
        finally:
            await self._protocol.end_ordinary(self, is_last=True)

    async def _report(self, response: Any) -> None:
        await self._protocol.config.log.access(self.scope, response, time() - self._began)
