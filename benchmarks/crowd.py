"""A crowd of clients, each of whom asks at most once a second, and gives up on a late answer."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from statistics import quantiles
from typing import cast

from benchmarks.clients import SUCCESSES, Answer, request
from benchmarks.records import RECORDS

# The longest that a client waits: it closes the connection, and asks again.
LIMIT = 5.0
REFUSALS = ("429", "503")
# By name: how often among a hundred requests.
COMMON = {"read": 60, "list": 15, "create": 12}
WHOLE = COMMON | {"search": 8, "count": 4, "bundle": 1}


@dataclass
class Tally:
    """What became of the requests that ended since it was made."""

    seconds: list[float] = field(default_factory=list)
    others: Counter[str] = field(default_factory=Counter)

    def quantile(self, percent: int) -> float:
        """Return below which time this part of the good answers was."""
        if len(self.seconds) < 2:  # noqa: PLR2004  # Fewer have no quantiles.
            return max(self.seconds, default=LIMIT)
        return quantiles(self.seconds, n=100)[percent - 1]


def mixed(weights: dict[str, int]) -> Iterator[bytes]:
    """Give requests without end."""
    chance = random.Random(0)  # noqa: S311  # It keeps no secret.
    made = time.time_ns()
    names = list(weights)
    while True:
        match chance.choices(names, list(weights.values()))[0]:
            case "read":
                yield request("GET", f"/foss/{chance.randint(1, RECORDS)}")
            case "list":
                yield request("GET", "/foss?limit=50")
            case "create":
                made += 1
                body = {"name": "Overload", "email": f"o{made}@example.org"}
                yield request("POST", "/foss", body)
            case "search":
                yield request("GET", f"/foss?q=project{chance.randint(1, RECORDS // 100)}")
            case "count":
                yield request("GET", "/foss?limit=1", headers="Prefer: count=exact\r\n")
            case "bundle":
                yield request("GET", "/docs/swagger-ui-bundle.js")


class Client(asyncio.Protocol):
    """One of the crowd: it keeps its connection while the server does."""

    def __init__(self, crowd: "Crowd", address: str) -> None:
        self._crowd = crowd
        self._address = address
        self._transport: asyncio.Transport | None = None
        self._connecting: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._answer: Answer | None = None
        self._sent = b""
        self._due = 0.0

    def begin(self, delay: float) -> None:
        """Ask after a while."""
        self._due = time.perf_counter() + delay
        self._timer = asyncio.get_running_loop().call_later(delay, self._ask)

    def end(self) -> None:
        """Leave, whatever is on its way."""
        for one in (self._timer, self._connecting):
            if one is not None:
                one.cancel()
        self._answer = None
        self._hang_up()

    def _ask(self) -> None:
        self._crowd.lag = max(self._crowd.lag, time.perf_counter() - self._due)
        self._sent = next(self._crowd.requests)
        self._answer = Answer()
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(LIMIT, self._finish, "late")
        if self._transport is None:
            self._connecting = loop.create_task(self._connect())
        else:
            self._transport.write(self._sent)

    async def _connect(self) -> None:
        try:
            await asyncio.get_running_loop().create_connection(
                lambda: self, "127.0.0.1", self._crowd.port, local_addr=(self._address, 0)
            )
        except OSError:
            self._finish("refused by TCP")

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send what waited for the connection."""
        self._transport = cast("asyncio.Transport", transport)
        self._transport.write(self._sent)

    def data_received(self, data: bytes) -> None:
        """Read on; answers that nobody asked for close the connection."""
        if self._answer is None:
            self._hang_up()
        elif self._answer.feed(data):
            status, closes = self._answer.status, self._answer.closes
            if closes:
                self._hang_up()
            self._finish("" if status in SUCCESSES else str(status))

    def connection_lost(self, error: Exception | None) -> None:
        """Note that the next request needs a new connection."""
        del error
        self._transport = None
        if self._answer is not None:
            self._finish("closed by the server")

    def _finish(self, failure: str) -> None:
        """Count what became of a request, and ask again when its second is over."""
        self._answer = None
        if self._timer is not None:
            self._timer.cancel()
        if failure == "late":
            if self._connecting is not None:
                self._connecting.cancel()
            self._hang_up()
        now = time.perf_counter()
        if failure:
            self._crowd.tally.others[failure] += 1
        else:
            self._crowd.tally.seconds.append(now - self._due)
        # Whoever was refused does not come back at once, as `Retry-After` demands.
        pause = self._crowd.pause if not failure else max(self._crowd.pause, 1.0)
        self.begin(max(0.0, self._due + pause - now))

    def _hang_up(self) -> None:
        if self._transport is not None:
            self._transport.abort()
            self._transport = None


class Crowd:
    """Clients of a server, each from an address of its own: nginx limits by address."""

    def __init__(self, port: int, requests: Iterator[bytes], size: int, pause: float) -> None:
        self.port = port
        self.requests = requests
        self.pause = pause
        self.tally = Tally()
        # How late the generator itself was, at most, in seconds.
        self.lag = 0.0
        self._clients = [
            Client(self, f"127.{1 + number // 62500}.{number // 250 % 250}.{number % 250 + 1}")
            for number in range(size)
        ]

    async def run(self, settle: float, seconds: float) -> Tally:
        """Let all come within a second; count after a while; return what was counted."""
        chance = random.Random(0)  # noqa: S311  # It keeps no secret.
        for client in self._clients:
            client.begin(chance.random())
        await asyncio.sleep(1 + settle)
        self.tally, self.lag = Tally(), 0.0
        await asyncio.sleep(seconds)
        return self.tally

    def end(self) -> None:
        """Have all leave at once."""
        for client in self._clients:
            client.end()


async def seconds_of_health(port: int, limit: float) -> float:
    """Return the seconds that `/livez` takes on a new connection, at most `limit`."""
    began = time.perf_counter()
    writer = None
    with suppress(OSError, TimeoutError):
        async with asyncio.timeout(limit):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(request("GET", "/livez"))
            if (await reader.readline()).split()[1:2] == [b"200"]:
                limit = time.perf_counter() - began
    if writer is not None:
        writer.transport.abort()
    return limit


async def watch(port: int, limit: float, found: list[float], pause: float) -> None:
    """Note how long `/livez` takes, until cancelled."""
    while True:
        found.append(await seconds_of_health(port, limit))
        await asyncio.sleep(pause)


async def recovery(port: int, quick: float, longest: float, *, in_a_row: int = 3) -> float:
    """Return after how many seconds `/livez` answers quickly, and goes on to."""
    began = time.perf_counter()
    since, answers = 0.0, 0
    while answers < in_a_row and time.perf_counter() < began + longest:
        asked = time.perf_counter() - began
        if await seconds_of_health(port, quick) < quick:
            since = since if answers else asked
            answers += 1
        else:
            answers = 0
    return since if answers == in_a_row else longest
