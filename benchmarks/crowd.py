"""A crowd of clients, each of whom asks at most once a second, and gives up on a late answer."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from statistics import quantiles
from typing import cast

from benchmarks.clients import SUCCESSES, Answer, request
from benchmarks.collection import PATH
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
        return quantiles(self.seconds, n=100, method="inclusive")[percent - 1]


def mixed(weights: dict[str, int]) -> Iterator[bytes]:
    """Give requests without end."""
    chance = random.Random(0)  # noqa: S311  # It keeps no secret.
    made = time.time_ns()
    names = list(weights)
    while True:
        match chance.choices(names, list(weights.values()))[0]:
            case "read":
                yield request("GET", f"{PATH}/{chance.randint(1, RECORDS)}")
            case "list":
                yield request("GET", f"{PATH}?limit=50")
            case "create":
                made += 1
                body = {"name": "Overload", "email": f"o{made}@example.org"}
                yield request("POST", PATH, body)
            case "search":
                yield request("GET", f"{PATH}?q=project{chance.randint(1, RECORDS // 100)}")
            case "count":
                yield request("GET", f"{PATH}?limit=1", headers="Prefer: count=exact\r\n")
            case "bundle":
                yield request("GET", "/docs/swagger-ui-bundle.js")


class Connection(asyncio.Protocol):
    """A connection of a client, which may have given it up already."""

    def __init__(self, client: "Client") -> None:
        self._client = client
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport, unless the client waits for it no longer."""
        self.transport = cast("asyncio.Transport", transport)
        if self._client.connection is not self:
            self.transport.abort()

    def data_received(self, data: bytes) -> None:
        """Pass the bytes on."""
        self._client.receive(self, data)

    def connection_lost(self, error: Exception | None) -> None:
        """Notify the client."""
        del error
        self._client.lose(self)

    @property
    def is_usable(self) -> bool:
        """Return whether a request can be sent."""
        return self.transport is not None and not self.transport.is_closing()

    def send(self, request: bytes) -> None:
        """Send a request on a usable connection."""
        assert self.transport is not None  # noqa: S101  # It is usable.
        self.transport.write(request)

    def hang_up(self) -> None:
        """Close it immediately."""
        if self.transport is not None:
            self.transport.abort()


class Client:
    """One of the crowd: it keeps its connection while the server does."""

    def __init__(self, crowd: "Crowd", address: str) -> None:
        self._crowd = crowd
        self._address = address
        self.connection: Connection | None = None
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
        if self.connection is not None and self.connection.is_usable:
            self.connection.send(self._sent)
        else:
            self.connection = Connection(self)
            self._connecting = loop.create_task(self._connect(self.connection))

    async def _connect(self, connection: Connection) -> None:
        try:
            await asyncio.get_running_loop().create_connection(
                lambda: connection,
                "127.0.0.1",
                self._crowd.port,
                local_addr=(self._address, 0),
            )
        except OSError:
            self.connection = None
            self._finish("refused by TCP")
            return
        if connection.is_usable:
            connection.send(self._sent)

    def receive(self, connection: Connection, data: bytes) -> None:
        """Read; unexpected responses close the connection."""
        if connection is not self.connection:
            return
        if self._answer is None:
            self._hang_up()
        elif self._answer.feed(data):
            status, closes = self._answer.status, self._answer.closes
            if closes:
                self._hang_up()
            self._finish("" if status in SUCCESSES else str(status))

    def lose(self, connection: Connection) -> None:
        """Note that the next request needs a new connection."""
        if connection is not self.connection:
            return
        self.connection = None
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
        # A refused client does not return immediately, as `Retry-After` requires.
        pause = self._crowd.pause if not failure else max(self._crowd.pause, 1.0)
        self.begin(max(0.0, self._due + pause - now))

    def _hang_up(self) -> None:
        if self.connection is not None:
            self.connection.hang_up()
            self.connection = None


class Crowd:
    """Clients of a server, each from an address of its own: nginx limits by address."""

    def __init__(self, port: int, requests: Iterator[bytes], size: int, pause: float) -> None:
        self.port = port
        self.requests = requests
        self.size = size
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
        """Disconnect all clients together."""
        for client in self._clients:
            client.end()
