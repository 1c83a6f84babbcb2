"""HTTP/1.1 alone, with one write for the head and the beginning of the body of an answer.

hypercorn makes two writes. Between them a client, or nginx, may see half an answer: of a replica
that is killed just then it could not be told from a whole one, nor asked of another replica. One
write also saves a system call.

hypercorn also switches to HTTP/2 or WebSocket when a client asks for it. `Upgrade` is ignored here
(RFC 9110, section 7.8), and other versions are refused: HTTP/2 ends where TLS ends.
"""

import asyncio
from typing import Any

import h11
import hypercorn.protocol
import structlog
from hypercorn.events import Closed, Event, RawData
from hypercorn.protocol.events import Body, Request
from hypercorn.protocol.h11 import STREAM_ID, H11Protocol
from hypercorn.protocol.http_stream import HTTPStream

from service.common.errors import InvalidAPIRequest, refusal
from service.common.web import GIVE_UP, choose_request_id
from service.limits import BODIES_IN_TURN, BODY_PARTS, HALF_CLOSED_MILLISECONDS
from service.server.bounded_http1 import BAD_REQUEST, BoundedConnection

log = structlog.get_logger("service")

LARGE = 1 << 14


class FairStream(HTTPStream):
    """A request, as hypercorn hands it on, whose body takes turns with the bodies of others."""

    # Of all connections: the bodies that wait for one go on in the order of their arrival.
    turns: asyncio.Semaphore
    _parts = 0

    async def handle(self, event: Any) -> None:
        """Hand on a part of the request; after some parts of a body, wait for the next turn."""
        await super().handle(event)
        if isinstance(event, Body):
            self._parts += 1
            if self._parts % BODY_PARTS.value == 0:
                async with self.turns:
                    await asyncio.sleep(0)


class SingleWriteProtocol(H11Protocol):
    """HTTP/1.1, as hypercorn speaks it, with a head that waits for what follows it."""

    connection: BoundedConnection
    _head = b""
    _is_closed = False

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.connection = BoundedConnection()

    async def handle(self, event: Event) -> None:
        """Handle what arrives. Once the client has gone, no request behind the first is served."""
        stream: Any = self.stream
        if isinstance(event, Closed):
            self._is_closed = True
            await self._drop_requests()
        elif self._is_closed:
            return
        await super().handle(event)
        if self._is_closed and stream is not None:
            seconds = HALF_CLOSED_MILLISECONDS.value / 1000
            asyncio.get_running_loop().call_later(seconds, end_request, stream.scope)

    async def _maybe_recycle(self) -> None:
        """Go on with the next request; if the connection is closed, none is waited for."""
        await super()._maybe_recycle()
        if self.connection.our_state is not h11.IDLE:
            await self._drop_requests()

    async def _drop_requests(self) -> None:
        """Drop the requests that wait for the answer to the first.

        hypercorn would wait for that answer for ever, although no client reads it.
        """
        self.connection.drop_received()
        await self.can_read.set()

    async def _check_protocol(self, event: h11.Request) -> None:
        """Ignore `Upgrade: h2c`."""

    async def _create_stream(self, request: h11.Request) -> None:
        """Hand a request to the application; hypercorn's own method also looks for WebSockets."""
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
        """Answer what is not a request; with the envelope if a head was refused."""
        refused = self.connection.refusal
        if refused is None:
            await super()._send_error_response(status_code)
            return
        error = InvalidAPIRequest(refused.message, status_code=refused.status)
        request_id = choose_request_id(refused.request_id)
        headers, body = refusal(error, request_id)
        client = (self.client or ("-",))[0]
        log.info("request refused", status=error.code, client=client, request_id=request_id)
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
            # The body, or the end of the message, follows at once, or as soon as it is made.
            self._head = data
            return
        head, self._head = self._head, b""
        if len(data) > LARGE:
            # A large body is not copied: the rest of it follows its beginning.
            await self.send(RawData(data=head + data[:LARGE]))
            await self.send(RawData(data=memoryview(data)[LARGE:]))  # type: ignore[arg-type]
        elif head or data:
            await self.send(RawData(data=head + data))


def end_request(scope: Any) -> None:
    """End a request whose client has gone, unless it is answered."""
    give_up = scope["state"].get(GIVE_UP)
    if give_up is not None:
        give_up()


def register() -> None:
    """Have hypercorn answer so, from the next connection on."""
    FairStream.turns = asyncio.Semaphore(BODIES_IN_TURN.value)
    # It has no setting for this.
    vars(hypercorn.protocol)["H11Protocol"] = SingleWriteProtocol
