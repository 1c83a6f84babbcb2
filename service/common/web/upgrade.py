"""Upgrade: a request to become a WebSocket is answered as the plain GET that it also is.

RFC 9110, section 7.8, lets a server ignore `Upgrade`, as `python -m service` does. Other ASGI
servers hand such a request over as a WebSocket, which would pass by every hook.
"""

from typing import Any

from quart import Quart


def register(app: Quart) -> None:
    """Let a WebSocket's handshake take the way of every request."""
    asgi_app = app.asgi_app

    async def without_websockets(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "websocket":
            scope, receive, send = _as_http(scope, receive, send)
        await asgi_app(scope, receive, send)

    app.asgi_app = without_websockets  # type: ignore[method-assign]  # Quart's way to wrap it.


def _as_http(scope: Any, receive: Any, send: Any) -> tuple[Any, Any, Any]:
    async def receive_http() -> dict[str, Any]:
        event = await receive()
        if event["type"] == "websocket.connect":
            return {"type": "http.request", "body": b"", "more_body": False}
        return {"type": "http.disconnect"}

    async def send_http(event: dict[str, Any]) -> None:
        await send({**event, "type": f"websocket.{event['type']}"})

    return {**scope, "type": "http", "method": "GET", "scheme": "http"}, receive_http, send_http
