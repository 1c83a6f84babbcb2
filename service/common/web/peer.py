"""The peer of a connection: notice that it closes, even if nothing is read from the connection.

A reader notices the end of a connection only after all data that precedes it. Linux reports the end
by itself; on other systems it is noticed when the data is read.
"""

import asyncio
import select
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

# Under this name the state of a request has what the server can do: see `on_client_close`.
WATCH = "watch_client"
LOOK_SECONDS = 0.1
# Other systems report only that both sides are closed, which needs no flag.
CLOSED = getattr(select, "POLLRDHUP", 0)


def on_client_close(
    scope: Mapping[str, Any], call: Callable[[], object]
) -> AbstractContextManager[None]:
    """Call `call` once if the client of a request closes the connection, if the server can tell."""
    watch = scope.get("state", {}).get(WATCH)
    return nullcontext() if watch is None else watch(call)


def has_left(client: Any) -> bool:
    """Return whether the client of a socket has closed the connection, or its side of it."""
    poll = select.poll()
    poll.register(client.fileno(), CLOSED)
    return bool(poll.poll(0))


@contextmanager
def on_close(socket: Any, call: Callable[[], object]) -> Iterator[None]:
    """Call `call` once, up to 0.1 s after the peer of a socket closes the connection.

    It takes no file descriptor: any number of clients may be watched.
    """
    loop = asyncio.get_running_loop()
    timer: asyncio.TimerHandle

    def look() -> None:
        nonlocal timer
        if socket.fileno() >= 0 and has_left(socket):
            call()
        else:
            timer = loop.call_later(LOOK_SECONDS, look)

    timer = loop.call_later(LOOK_SECONDS, look)
    try:
        yield
    finally:
        timer.cancel()
