"""Upgrade: a request to become a WebSocket is answered as the plain GET that it also is.

RFC 9110, section 7.8, lets a server ignore `Upgrade`, as `python -m service` does. Other ASGI
servers hand such a request over as a WebSocket, which would pass by every hook.
"""

from typing import Any


def as_http(scope: Any, receive: Any, send: Any) -> tuple[Any, Any, Any]:
    """Return the handshake of a WebSocket as the request that it also is."""

    async def receive_http() -> dict[str, Any]:
        event = await receive()
        if event["type"] == "websocket.connect":
            return {"type": "http.request", "body": b"", "more_body": False}
        return {"type": "http.disconnect"}

    async def send_http(event: dict[str, Any]) -> None:
        await send({**event, "type": f"websocket.{event['type']}"})

    return {**scope, "type": "http", "method": "GET", "scheme": "http"}, receive_http, send_http
