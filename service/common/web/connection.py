"""Connection: a request and its response in the server's own task.

Quart creates tasks to read, to respond and for the time-out of the response. A request that arrives
with its complete body needs no reading task if the server reports that the client disconnects.
"""

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from quart.asgi import ASGIHTTPConnection
from quart.sessions import NullSession, SessionInterface
from quart.utils import encode_headers
from quart.wrappers import Request
from quart.wrappers.response import DataBody

if TYPE_CHECKING:
    from service.common.web.app import App

from service import limits
from service.common.web.bodies import MeasuredBody, StreamedBody
from service.common.web.peer import on_client_close
from service.common.web.request import announces_body
from service.common.web.request_headers import RequestHeaders

# The key, in the state of a request, of the callback for the server to call when the client
# disconnects: None until the request starts. The server sets its own if the client disconnects
# earlier. Other servers only send ASGI's `http.disconnect`, which the reading task receives.
GIVE_UP = "give_up"
MAX_TYPE_BYTES = limits.CONTENT_TYPE_BYTES.value


def nothing_to_cancel() -> None:
    """Stand for the callback of a request that has not started, or is answered."""


class NoSessions(SessionInterface):
    """No cookies: Quart would create a session object at each request."""

    _nothing = NullSession()

    async def open_session(self, *_: Any) -> NullSession:
        """Return the same empty session."""
        return self._nothing


class OneTaskConnection(ASGIHTTPConnection):
    """One request from ASGI to Quart, and its response back."""

    _reader: asyncio.Task[None] | None = None
    # The server's task, while it computes the response.
    _answering: asyncio.Task[Any] | None = None
    _client_has_gone = False

    async def __call__(self, receive: Any, send: Any) -> None:
        """Answer the request; cancel it if its client disconnects."""
        request = self._create_request_from_scope(send)
        complete, has_body = False, announces_body(request)
        while not complete and (not has_body or _is_waiting(receive)):
            message = await receive()
            if message["type"] != "http.request":
                request.body.clear()
                return  # The client has disconnected.
            request.body.append(message.get("body", b""))
            complete = not message.get("more_body", False)
        state: Any = self.scope.get("state", {})
        if state.get(GIVE_UP) is not None:
            request.body.clear()
            return  # The client disconnected before this task started.
        self._answering = asyncio.current_task()
        if complete:
            request.body.set_complete()
        if complete and GIVE_UP in state:
            state[GIVE_UP] = self.give_up
        else:
            self._reader = asyncio.create_task(self._read(request, receive))
        try:
            await self.handle_request(request, send)
        except asyncio.CancelledError:
            if not self._client_has_gone or self._answering is None:
                raise
            self._answering.uncancel()
        finally:
            self._answering = None
            if GIVE_UP in state:
                # The method, and below the task, would be reference cycles, which only the garbage
                # collector ends.
                state[GIVE_UP] = nothing_to_cancel
            body: Any = request.body
            body.clear()
            if self._reader is not None and (complete or body.received.is_set()):
                self._reader.cancel()
                self._reader = None
            # Otherwise it reads to the end: hypercorn waits until all messages are received.

    def give_up(self) -> None:
        """Cancel the response: its client has disconnected."""
        if self._answering is not None and not self._client_has_gone:
            self._client_has_gone = True
            self._answering.cancel()

    async def _read(self, request: Request, receive: Any) -> None:
        """Receive the rest of the request, and cancel the response if the client disconnects."""
        await self.handle_messages(request, receive)
        self.give_up()

    def _create_request_from_scope(self, send: Any) -> Request:
        scope: Any = self.scope
        root, path = scope.get("root_path", ""), scope["path"]
        if root:
            # As in Quart: a path outside of the root matches no route.
            inside = path.startswith(root) and path != root
            path = path.removeprefix(root) if inside else " "
        request = self.app.request_class(
            scope["method"],
            scope["scheme"],
            path,
            scope["query_string"],
            RequestHeaders(scope["headers"], (scope.get("client") or ["<local>"])[0]),
            root,
            scope["http_version"],
            scope,
            max_content_length=self.app.config["MAX_CONTENT_LENGTH"],
            body_timeout=self.app.config["BODY_TIMEOUT"],
            send_push_promise=partial(self._send_push_promise, send),
        )
        request.body = self._body_of(request)
        return request

    def _body_of(self, request: Request) -> MeasuredBody:
        length, app = request.content_length, cast("App", self.app)
        media_type = request.headers.get("Content-Type", "")
        # A longer one is rejected before its parameters are parsed.
        if request.method == "POST" and len(media_type) <= MAX_TYPE_BYTES:
            limit = app.streamed_bodies.get(media_type.partition(";")[0].strip().lower())
            if limit is not None:
                request.max_content_length = limit
                return StreamedBody(length, limit)
        return MeasuredBody(length, app.config["MAX_CONTENT_LENGTH"], app.body_budget)

    async def handle_messages(self, request: Request, receive: Any) -> None:
        """Receive the body; a streamed one only while its buffer has space."""
        body: object = request.body
        if not isinstance(body, StreamedBody):
            await super().handle_messages(request, receive)
            return

        async def take() -> Any:
            await body.wait_for_space()
            return await receive()

        with on_client_close(self.scope, self.give_up):
            await super().handle_messages(request, take)

    async def handle_request(self, request: Request, send: Any) -> None:
        """Send the response; `send` returns when the client has read enough."""
        response: Any = await self.app.handle_request(request)
        body, headers = response.response, encode_headers(response.headers)
        scope: Any = self.scope
        state = scope.setdefault("state", {})
        # For the server's access log and metrics; the response to HEAD has no body.
        state["sent_bytes"] = 0
        await send(
            {"type": "http.response.start", "status": response.status_code, "headers": headers}
        )
        if isinstance(body, DataBody):
            # In one message: slices would be copies for as long as the client reads.
            data = body.data[body.begin : body.end]
            state["sent_bytes"] = len(data) if request.method != "HEAD" else 0
            await send({"type": "http.response.body", "body": data})
            return
        async with body:
            async for part in body:
                state["sent_bytes"] += len(part)
                await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body", "body": b""})


def _is_waiting(receive: Any) -> bool:
    """Return whether a message has arrived: hypercorn's `receive` is a method of a queue."""
    queue = getattr(receive, "__self__", None)
    return isinstance(queue, asyncio.Queue) and not queue.empty()
