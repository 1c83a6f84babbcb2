"""HTTP/1.1 only, with one write for the head and the beginning of the body of a response.

hypercorn writes twice. If a replica is killed in between, nginx has already forwarded the head and
can't retry the request on another replica. One write also saves a system call.

hypercorn also switches to HTTP/2 or WebSocket at a client's request. Here `Upgrade` is ignored
(RFC 9110, section 7.8), and other versions are rejected: HTTP/2 is left to the proxy with TLS.
"""

import asyncio
from typing import Any

import h11
import hypercorn.protocol
import structlog
from hypercorn.events import Closed, Event, RawData, Updated
from hypercorn.protocol.events import Body, Request
from hypercorn.protocol.h11 import STREAM_ID, H11Protocol
from hypercorn.protocol.http_stream import HTTPStream

from service.common.errors import InvalidAPIRequest, refusal
from service.common.web import GIVE_UP, LongSteps, choose_request_id, nothing_to_cancel
from service.limits import BODIES_IN_TURN, BODY_PARTS, HALF_CLOSED_MILLISECONDS
from service.metrics import count_limit
from service.server.bounded_http1 import BAD_REQUEST, TOO_LARGE, BoundedConnection
from service.server.ordinary import OrdinaryStream, read_request

log = structlog.get_logger("service")

JOINED_BYTES = 1 << 14


class FairStream(HTTPStream):
    """hypercorn's stream of a request, whose body takes turns with the bodies of others."""

    # Shared by all connections; first come, first served.
    turns: asyncio.Semaphore
    _parts = 0

    async def handle(self, event: Any) -> None:
        """Pass on a part of the request; after several parts of a body, wait for the next turn."""
        await super().handle(event)
        if isinstance(event, Body):
            state: Any = self.scope["state"]
            state["received_bytes"] = state.get("received_bytes", 0) + len(event.data)
            self._parts += 1
            if self._parts % BODY_PARTS.value == 0:
                async with self.turns:
                    await asyncio.sleep(0)


class Http1Protocol(H11Protocol):
    """hypercorn's HTTP/1.1, which writes a head together with what follows it."""

    connection: BoundedConnection
    # Shared by all connections, and with the parsing of bodies.
    long_steps: LongSteps
    # hypercorn's, or an OrdinaryStream.
    stream: Any
    # The number of bytes that are in memory beside those that are being sent.
    following = 0
    _head = b""
    _is_closed = False

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.connection = BoundedConnection()

    async def handle(self, event: Event) -> None:
        """Handle an event. After the client has disconnected, pipelined requests are discarded."""
        stream: Any = self.stream
        if isinstance(event, Closed):
            self._is_closed = True
            await self._drop_requests()
        elif self._is_closed:
            return
        elif isinstance(event, RawData):
            if self.connection.has_long_head():
                # Parsing takes milliseconds, and many may be complete in the same iteration.
                end = await self.long_steps.start()
                asyncio.get_running_loop().call_soon(end)
            data = await self._take_ordinary(event.data)
            # h11 must see the end of the input, which is empty.
            if self._is_closed or (event.data and not data):
                return
            event = RawData(data)
        await super().handle(event)
        if self._is_closed and stream is not None:
            seconds = HALF_CLOSED_MILLISECONDS.value / 1000
            asyncio.get_running_loop().call_later(seconds, end_request, stream.scope)

    async def _take_ordinary(self, data: bytes) -> bytes:
        """Begin the ordinary requests that the data begin with; return what is left for h11.

        As in h11, a request begins after the response to the previous one.
        """
        start = 0
        while start < len(data) and not self._is_closed:
            if isinstance(self.stream, OrdinaryStream):
                await self.can_read.clear()
                await self.can_read.wait()
                continue
            if not self.connection.is_idle() or not (request := read_request(data, start)):
                break
            start = request.end
            await self.send(Updated(idle=False))
            self.keep_alive_requests += 1
            self.stream = stream = OrdinaryStream(self, request)
            self.task_group.spawn(stream.run)
        return data[start:] if start else data

    def is_last_request(self) -> bool:
        """Return whether the connection is to be closed after this response."""
        return self.keep_alive_requests >= self.config.keep_alive_max_requests

    async def end_ordinary(self, stream: OrdinaryStream, *, is_last: bool) -> None:
        """Continue after the response to an ordinary request, or close the connection.

        What follows the last request must not be processed (RFC 9112, section 9.6).
        """
        if self.stream is not stream:
            return
        self.stream = None
        if is_last or self.context.terminated.is_set():
            self._is_closed = True
            await self._drop_requests()
            await self.send(Closed())
        else:
            await self.can_read.set()
            await self.send(Updated(idle=True))

    async def _maybe_recycle(self) -> None:
        """Continue with the next request; if the connection is closed, discard it."""
        await super()._maybe_recycle()
        if self.connection.our_state is not h11.IDLE:
            await self._drop_requests()

    async def _drop_requests(self) -> None:
        """Discard the requests that wait for the response to the first.

        hypercorn would wait for that response forever, although no client reads it.
        """
        self.connection.drop_received()
        await self.can_read.set()

    async def _check_protocol(self, event: h11.Request) -> None:
        """Ignore `Upgrade: h2c`."""

    async def _create_stream(self, request: h11.Request) -> None:
        """Pass a request to the application; hypercorn's own method also handles WebSockets."""
        if not request.http_version.startswith(b"1."):
            await self._send_error_response(BAD_REQUEST)
            await self.send(Closed())
            return
        self.stream = FairStream(
            self.app,
            self.config,
            self.context,
            self.task_group,
            self.ssl,
            self.client,
            self.server,
            self.stream_send,
            STREAM_ID,
        )
        await self.stream.handle(
            Request(
                stream_id=STREAM_ID,
                headers=list(request.headers),
                http_version=request.http_version.decode(),
                method=request.method.decode("ascii").upper(),
                raw_path=request.target,
                state=self.connection_state,
            )
        )
        self.keep_alive_requests += 1
        await self.context.mark_request()

    async def _send_error_response(self, status_code: int) -> None:
        """Send an error response; with the envelope if a head was rejected."""
        refused = self.connection.refusal
        client = (self.client or ("-",))[0]
        if refused is None and status_code == TOO_LARGE:
            count_limit("HEAD_BYTES")
            log.info("request refused", status=status_code, client=client, limit="HEAD_BYTES")
        if refused is None:
            await super()._send_error_response(status_code)
            return
        error = InvalidAPIRequest(refused.message, status_code=refused.status)
        request_id = choose_request_id(refused.request_id)
        headers, body = refusal(error, request_id)
        log.info(
            "request refused",
            status=error.code,
            client=client,
            request_id=request_id,
            cause=refused.message,
            **({"limit": refused.limit} if refused.limit else {}),
        )
        fields = [(name.encode(), value.encode()) for name, value in headers.items()]
        fields += self.config.response_headers("h11")
        await self._send_h11_event(h11.Response(status_code=error.code, headers=fields))
        await self._send_h11_event(h11.Data(data=body))
        await self._send_h11_event(h11.EndOfMessage())

    async def _send_h11_event(self, event: Any) -> None:
        try:
            data = self.connection.send(event) or b""
        except h11.LocalProtocolError:
            if self.connection.their_state != h11.ERROR:
                raise
            return
        if isinstance(event, h11.Response):
            # The body, or the end of the message, follows.
            self._head = data
            return
        head, self._head = self._head, b""
        await self.send_joined(head, data)

    async def send_joined(self, head: bytes, data: bytes) -> None:
        """Send a head, if there is one, together with the data that follow it."""
        if len(data) > JOINED_BYTES:
            # A large body is not copied: only its beginning is joined to the head.
            self.following = len(data) - JOINED_BYTES
            try:
                await self.send(RawData(data=head + data[:JOINED_BYTES]))
            finally:
                self.following = 0
            await self.send(RawData(data=memoryview(data)[JOINED_BYTES:]))  # type: ignore[arg-type]
        elif head or data:
            await self.send(RawData(data=head + data))


def end_request(scope: Any) -> None:
    """Cancel a request whose client has disconnected, unless it is answered."""
    state = scope["state"]
    if state.get(GIVE_UP) is None:
        # Its task has not started; it ends when it finds this.
        state[GIVE_UP] = nothing_to_cancel
    else:
        state[GIVE_UP]()


def register(long_steps: LongSteps) -> None:
    """Replace hypercorn's class, from the next connection on."""
    Http1Protocol.long_steps = long_steps
    FairStream.turns = asyncio.Semaphore(BODIES_IN_TURN.value)
    # hypercorn has no setting for this.
    vars(hypercorn.protocol)["H11Protocol"] = Http1Protocol
