"""Turns: a limit of the requests that begin in one iteration of the event loop.

Some end in the iteration in which they begin, such as those that are answered 401, so a limit of
those in progress does not delay them. Without turns, a client with hundreds of connections could
have a request answered on all of them in each iteration, and requests of other clients would wait.
"""

import asyncio
from collections.abc import Callable
from functools import partial
from time import monotonic

from service import limits
from service.client import CLIENT
from service.places import Clients, Places

# A request needs several iterations: with one in each, it would wait long however little it costs.
FEWEST = 2
# How long no other long step follows, as a multiple of the time of one.
REST = 100 / limits.LONG_STEPS_PERCENT.value - 1


class Turns:
    """At most `number` tasks begin in an iteration; clients are served in turn.

    Fewer begin while iterations take longer than `seconds`. The loop does not wait for events as
    long as tasks wait for their turn, so this delays none of them longer than the others' work.
    """

    def __init__(
        self,
        number: int = limits.REQUESTS_IN_TURN.value,
        seconds: float = limits.TURN_MILLISECONDS.value / 1000,
    ) -> None:
        self._most, self._seconds = number, seconds
        self._places = Places(number)
        # The clients of the tasks that began in this iteration.
        self._begun: list[str] = []
        self._since = 0.0

    async def take(self) -> bool:
        """Take a turn, which lasts until the next iteration; return whether it had to wait."""
        clients = Clients(CLIENT.get())
        client = self._places.take(clients)
        has_waited = client is None
        if client is None:
            client = await self._places.wait(clients)
        if not self._begun:
            self._since = monotonic()
            asyncio.get_running_loop().call_soon(self._end)
        self._begun.append(client)
        return has_waited

    def _end(self) -> None:
        number = self._places.number
        if monotonic() - self._since > self._seconds:
            self._places.resize(max(FEWEST, number // 2))
        elif number < self._most:
            self._places.resize(number + 1)
        begun, self._begun = self._begun, []
        for client in begun:
            self._places.release(client)


class LongSteps:
    """Steps that take milliseconds, as the parsing of a large body, one at a time.

    They take a part of the event loop's time if there is other work. Of the clients that wait the
    one whose steps have taken the least time is first.
    """

    def __init__(self, has_other_work: Callable[[], bool] = lambda: True) -> None:
        self._has_other_work = has_other_work
        self._places = Places(1)

    def __len__(self) -> int:
        """Return how many steps wait."""
        return len(self._places)

    async def start(self) -> Callable[[], None]:
        """Wait until the step may start; call what is returned when it has ended."""
        clients = Clients(CLIENT.get())
        client = self._places.take(clients)
        if client is None:
            client = await self._places.wait(clients)
        return partial(self._end, client, monotonic())

    def _end(self, client: str, since: float) -> None:
        seconds = monotonic() - since
        self._places.charge(client, seconds)
        rest = REST * seconds if self._has_other_work() else 0
        asyncio.get_running_loop().call_later(rest, self._places.release, client)
