"""Upgrade: a WebSocket handshake is answered as the plain GET that it also is.

A server may ignore `Upgrade` (RFC 9110, section 7.8), as `python -m service` does. Other ASGI
servers pass such a request as a WebSocket, which would bypass every hook.
"""

from typing import Any


def as_http(scope: Any, receive: Any, send: Any) -> tuple[Any, Any, Any]:
    """Return a WebSocket handshake as an HTTP request."""

    async def receive_http() -> dict[str, Any]:
        event = await receive()
        if event["type"] == "websocket.connect":
            return {"type": "http.request", "body": b"", "more_body": False}
        return {"type": "http.disconnect"}

    async def send_http(event: dict[str, Any]) -> None:
        await send({**event, "type": f"websocket.{event['type']}"})

    return {**scope, "type": "http", "method": "GET", "scheme": "http"}, receive_http, send_http
