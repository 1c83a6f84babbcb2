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


def on_client_close(
    scope: Mapping[str, Any], call: Callable[[], object]
) -> AbstractContextManager[None]:
    """Call `call` once if the client of a request closes the connection, if the server can tell."""
    watch = scope.get("state", {}).get(WATCH)
    return nullcontext() if watch is None else watch(call)


@contextmanager
def on_close(socket: Any, call: Callable[[], object]) -> Iterator[None]:
    """Call `call` once if the peer of a socket closes the connection."""
    if socket.fileno() < 0 or not hasattr(select, "epoll"):
        yield
        return
    loop = asyncio.get_running_loop()
    # An epoll of its own: the loop's reports only whether there is something to read.
    with select.epoll() as closing:
        closing.register(socket.fileno(), select.EPOLLRDHUP)

        def notice() -> None:
            loop.remove_reader(closing.fileno())
            call()

        loop.add_reader(closing.fileno(), notice)
        try:
            yield
        finally:
            loop.remove_reader(closing.fileno())
