"""Connections that get no place: answer 503 and close.

Closing a connection while its client is still sending resets it, and the client may lose the
response. So it is closed a second later, unless its whole request has arrived.
"""

import asyncio
import re
import socket

from service import limits
from service.common.errors import RefusalLog, Unavailable, refusal
from service.common.web import choose_request_id

LINGER_SECONDS = limits.LINGER_SECONDS.value
# The header in the received part of a request.
REQUEST_ID_LINE = re.compile(
    rb"\nX-Request-ID:[ \t]*([A-Za-z0-9._-]{1,64})[ \t]*\r?\n", re.IGNORECASE
)
BODY = re.compile(rb"\n(?:Content-Length|Transfer-Encoding):", re.IGNORECASE)
READ_BYTES = 1 << 14
TOO_MANY_CONNECTIONS = "The service has too many connections. Try again shortly."


class RefusedConnections:
    """The connections that have been answered and are still open."""

    def __init__(self, cause: str) -> None:
        self._timers: dict[socket.socket, asyncio.TimerHandle] = {}
        self._log = RefusalLog(cause)

    def refuse(self, client: socket.socket) -> None:
        """Answer 503; close when the client closes, or after LINGER_SECONDS.

        What the client sends meanwhile is discarded.
        """
        self._log.note()
        try:
            request = client.recv(READ_BYTES)
            client.send(refuse(request))
            if is_whole(request):
                client.close()
                return
            client.shutdown(socket.SHUT_WR)
        except OSError:
            # The client has sent nothing, or has disconnected.
            client.close()
            return
        loop = asyncio.get_running_loop()
        loop.add_reader(client, self._read, client)
        self._timers[client] = loop.call_later(LINGER_SECONDS, self._close, client)
        if len(self._timers) > limits.REFUSED_CONNECTIONS.value:
            self._close(next(iter(self._timers)))

    def _read(self, client: socket.socket) -> None:
        try:
            data = client.recv(READ_BYTES)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            data = b""
        if not data:
            self._close(client)

    def _close(self, client: socket.socket) -> None:
        self._timers.pop(client).cancel()
        asyncio.get_running_loop().remove_reader(client)
        client.close()


def is_whole(request: bytes) -> bool:
    """Return whether this is one or more complete requests without bodies."""
    return request.endswith(b"\r\n\r\n") and not BODY.search(request)


def refuse(request: bytes) -> bytes:
    """Return the 503 response to the received part of a request."""
    found = REQUEST_ID_LINE.search(request)
    request_id = choose_request_id(found[1].decode() if found else "")
    headers, body = refusal(Unavailable(TOO_MANY_CONNECTIONS), request_id)
    lines = "".join(f"{field}: {value}\r\n" for field, value in headers.items())
    head = f"HTTP/1.1 503 \r\n{lines}\r\n".encode()
    return head if request.startswith(b"HEAD ") else head + body
