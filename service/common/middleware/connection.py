"""Connection: a request and its answer in the one task that the server made for them.

Quart makes a task to read, one to answer and one to bound the time of the answer. A request whose
body has come with it needs no reader, but somebody must notice where its client goes: a reader
that begins only where the answer takes a while.
"""

import asyncio
from functools import lru_cache, partial
from typing import Any, cast

from quart import Quart
from quart import request as request_proxy
from quart.asgi import ASGIHTTPConnection
from quart.utils import encode_headers
from quart.wrappers import Request, Response
from quart.wrappers.response import DataBody

from service.common.middleware.request_headers import RequestHeaders

# Most requests are answered before.
WATCH_AFTER_SECONDS = 0.05


def register(app: Quart) -> None:
    """Have every request take this way."""
    app.asgi_http_class = OneTaskConnection
    # Quart looks at each hook, at each request, whether it is a coroutine.
    app.ensure_async = lru_cache(app.ensure_async)  # type: ignore[method-assign]


def current_request() -> Request:
    """Return the request itself: `quart.request` looks for it again at each use."""
    current: Request = request_proxy._get_current_object()  # type: ignore[attr-defined]  # noqa: SLF001  # werkzeug's name for it.
    return current


class OneTaskConnection(ASGIHTTPConnection):
    """The way of one request from ASGI to Quart, and of its answer back."""

    async def __call__(self, receive: Any, send: Any) -> None:
        """Answer the request, or give it up where its client goes."""
        request = self._create_request_from_scope(send)
        reader = Reader(lambda: self.handle_messages(request, receive))
        has_body, complete = self._may_have_body(request), False
        while not complete and (not has_body or _is_waiting(receive)):
            message = await receive()
            if message["type"] != "http.request":
                return  # The client has gone.
            request.body.append(message.get("body", b""))
            complete = not message.get("more_body", False)
        if complete:
            request.body.set_complete()
            reader.start_later()
        else:
            reader.start()
        try:
            await self.handle_request(request, send)
        except asyncio.CancelledError:
            if not reader.client_has_gone:
                raise
            reader.answering.uncancel()
        finally:
            reader.stop()

    def _create_request_from_scope(self, send: Any) -> Request:
        scope: Any = self.scope
        if scope.get("root_path"):
            return super()._create_request_from_scope(send)
        return self.app.request_class(
            scope["method"],
            scope["scheme"],
            scope["path"],
            scope["query_string"],
            RequestHeaders(scope["headers"]),
            "",
            scope["http_version"],
            scope,
            max_content_length=self.app.config["MAX_CONTENT_LENGTH"],
            body_timeout=self.app.config["BODY_TIMEOUT"],
            send_push_promise=partial(self._send_push_promise, send),
        )

    async def handle_request(self, request: Request, send: Any) -> None:
        """Answer the request, within the time that a client has to take the answer."""
        response = await self.app.handle_request(request)
        seconds = self.app.config["RESPONSE_TIMEOUT"]
        if isinstance(response, Response) and response.timeout is not Ellipsis:
            seconds = response.timeout
        try:
            async with asyncio.timeout(seconds):
                await self._send_response(send, response)
        except TimeoutError:
            pass  # The server closes a connection whose answer is not complete.

    async def _send_response(self, send: Any, response: Any) -> None:
        if not isinstance(response.response, DataBody):
            await super()._send_response(send, response)
            return
        headers = encode_headers(response.headers)
        await send(
            {"type": "http.response.start", "status": response.status_code, "headers": headers}
        )
        body = response.response
        await send({"type": "http.response.body", "body": body.data[body.begin : body.end]})

    def _may_have_body(self, request: Request) -> bool:
        return (
            "Content-Length" in request.headers
            or "Transfer-Encoding" in request.headers
            or request.http_version not in {"1.0", "1.1"}
        )


def _is_waiting(receive: Any) -> bool:
    """Return whether a message has come already: hypercorn's `receive` is that of a queue."""
    queue = getattr(receive, "__self__", None)
    return isinstance(queue, asyncio.Queue) and not queue.empty()


class Reader:
    """What takes the messages of a client, and cancels the present task where it goes."""

    def __init__(self, read: Any) -> None:
        self._read = read
        self.answering = cast("asyncio.Task[Any]", asyncio.current_task())
        self._task: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self.client_has_gone = False

    def start(self) -> None:
        """Read from now on."""
        self._task = asyncio.create_task(self._run())

    def start_later(self) -> None:
        """Read where the answer takes longer than most."""
        self._timer = asyncio.get_running_loop().call_later(WATCH_AFTER_SECONDS, self.start)

    def stop(self) -> None:
        """Read no more."""
        if self._timer is not None:
            self._timer.cancel()
        if self._task is not None:
            self._task.cancel()

    async def _run(self) -> None:
        await self._read()
        self.client_has_gone = True
        self.answering.cancel()
