"""Detect that the peer closes a connection, even if nothing is read from it.

A reader detects the end of a connection only after all data before it. Linux reports the end
immediately; other systems report it when the data has been read.
"""

import asyncio
import select
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

# The key of the server's watch function in the state of a request: see `on_client_close`.
WATCH = "watch_client"
PEER_CHECK_SECONDS = 0.1
# Other systems only report that both sides are closed, which needs no flag.
CLOSED = getattr(select, "POLLRDHUP", 0)


def on_client_close(
    scope: Mapping[str, Any], call: Callable[[], object]
) -> AbstractContextManager[None]:
    """Call `call` once if the client of a request closes the connection, if the server can tell."""
    watch = scope.get("state", {}).get(WATCH)
    return nullcontext() if watch is None else watch(call)


def has_disconnected(client: Any) -> bool:
    """Return whether the client of a socket has closed the connection, or its side of it."""
    poll = select.poll()
    poll.register(client.fileno(), CLOSED)
    return bool(poll.poll(0))


@contextmanager
def on_close(socket: Any, call: Callable[[], object]) -> Iterator[None]:
    """Call `call` once, up to 0.1 s after the peer of a socket closes the connection.

    It needs no file descriptor: any number of clients can be watched.
    """
    loop = asyncio.get_running_loop()
    timer: asyncio.TimerHandle

    def look() -> None:
        nonlocal timer
        if socket.fileno() >= 0 and has_disconnected(socket):
            call()
        else:
            timer = loop.call_later(PEER_CHECK_SECONDS, look)

    timer = loop.call_later(PEER_CHECK_SECONDS, look)
    try:
        yield
    finally:
        timer.cancel()
