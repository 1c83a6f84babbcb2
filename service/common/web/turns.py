"""Turns: a limit of the requests that begin in one iteration of the event loop.

Some end in the iteration in which they begin, such as those that are answered 401, so a limit of
those in progress does not delay them. Without turns, a client with hundreds of connections could
have a request answered on all of them in each iteration, and requests of other clients would wait.
"""

import asyncio

from service.client import CLIENT
from service.places import Clients, Places


class Turns:
    """At most `number` tasks begin in an iteration; clients are served in turn."""

    def __init__(self, number: int) -> None:
        self._places = Places(number)

    async def take(self) -> None:
        """Wait for a turn, which lasts until the next iteration."""
        clients = Clients(CLIENT.get())
        client = self._places.take(clients)
        if client is None:
            client = await self._places.wait(clients)
        asyncio.get_running_loop().call_soon(self._places.release, client)
