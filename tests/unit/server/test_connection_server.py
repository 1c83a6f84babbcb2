"""The closing of idle connections, over sockets."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import hypercorn.asyncio.run
import pytest
from hypercorn.asyncio import serve
from hypercorn.config import Config
from hypercorn.protocol.h11 import H11Protocol
from structlog.contextvars import bind_contextvars, merge_contextvars
from structlog.testing import capture_logs

from service.budget import Budget
from service.limits import KEEP_ALIVE_SECONDS
from service.server import connection_server
from service.server.connection_server import PIECE, READ_PIECE, ConnectionServer
from tests.counted import counted

REQUEST = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
ANSWER = b"HTTP/1.1 200 \r\n"

Connect = Callable[[], Awaitable[tuple[asyncio.StreamReader, asyncio.StreamWriter]]]


class Service:
    """An application that answers when it may, and a server that stops when it shall."""

    def __init__(self) -> None:
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self.asked = asyncio.Event()
        self.parts = [b""]
        self.seconds_between = 0.0
        self.taken = 0
        self.name = ""
        self.stop = asyncio.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            for event in ("startup", "shutdown"):
                await receive()
                await send({"type": f"lifespan.{event}.complete"})
            return
        self.asked.set()
        bind_contextvars(request_id=self.name)
        gone = asyncio.create_task(self._wait_until_gone(receive))
        answer = asyncio.create_task(self.may_answer.wait())
        try:
            await asyncio.wait([gone, answer], return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (gone, answer):
                task.cancel()
        if not self.may_answer.is_set():
            return
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for part in self.parts:
            await send({"type": "http.response.body", "body": part, "more_body": True})
            self.taken += len(part)
            await asyncio.sleep(self.seconds_between)
        await send({"type": "http.response.body", "body": b""})

    async def _wait_until_gone(self, receive: Any) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass


@pytest.fixture
def service() -> Service:
    return Service()


class Places:
    """There is one for each connection."""

    def enter(self, *_: object) -> bool:
        return True

    def leave(self, *_: object) -> None:
        pass


@pytest.fixture
def serving(service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setitem(vars(hypercorn.asyncio.run), "TCPServer", ConnectionServer)
    monkeypatch.setattr(ConnectionServer, "connections", Places())

    @asynccontextmanager
    async def serving(seconds: float) -> AsyncIterator[Connect]:
        config = Config()
        path = tmp_path / "socket"
        config.bind = [f"unix:{path}"]
        config.keep_alive_timeout = seconds
        application: Any = service
        server = asyncio.create_task(serve(application, config, shutdown_trigger=service.stop.wait))
        while not path.exists():  # noqa: ASYNC110  # Polling: hypercorn has no event for this.
            await asyncio.sleep(0.01)
        writers = []

        async def connect() -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
            reader, writer = await asyncio.open_unix_connection(path)
            writers.append(writer)
            return reader, writer

        yield connect
        service.stop.set()
        for writer in writers:
            writer.close()
            await writer.wait_closed()
        await server

    return serving


@pytest.mark.limit("KEEP_ALIVE_SECONDS")
async def test_an_idle_connection_is_closed_at_the_limit_and_not_before(
    serving: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds, loop = KEEP_ALIVE_SECONDS.value, asyncio.get_running_loop()

    async def settle() -> None:
        for _ in range(100):
            await asyncio.sleep(0)

    async with serving(seconds) as connect:
        before = loop.time()
        reader, writer = await connect()
        writer.write(REQUEST)
        await reader.readuntil(b"0\r\n\r\n")
        await settle()
        after = now = loop.time()
        monkeypatch.setattr(loop, "time", lambda: now)
        now = before + seconds - 0.001
        await settle()
        early = reader.at_eof()
        now = after + seconds + 0.001
        await settle()
        late = reader.at_eof()
        monkeypatch.undo()

    assert (early, late) == (False, True)


async def test_a_connection_that_is_idle_is_closed(serving: Any) -> None:
    async with serving(0.05) as connect:
        new, _ = await connect()
        used, writer = await connect()
        writer.write(REQUEST)

        assert await new.read() == b""
        assert (await used.read()).startswith(ANSWER)


async def test_a_connection_in_use_is_not_closed_however_long_it_takes(
    service: Service, serving: Any
) -> None:
    service.may_answer.clear()
    async with serving(0.05) as connect:
        idle, _ = await connect()
        used, writer = await connect()
        writer.write(REQUEST)
        await idle.read()
        # The other one was open as long, and more.
        third, _ = await connect()
        await third.read()
        service.may_answer.set()

        assert (await used.readuntil(b"0\r\n\r\n")).startswith(ANSWER)


async def test_a_connection_that_is_used_again_stays_open(serving: Any) -> None:
    async with serving(2) as connect:
        used, writer = await connect()
        for _ in range(5):
            # A part of what a connection may be idle; all together it is more.
            await asyncio.sleep(0.5)
            writer.write(REQUEST)

            assert (await used.readuntil(b"0\r\n\r\n")).startswith(ANSWER)


async def test_at_the_stop_an_idle_connection_is_closed_and_one_in_use_after_its_answer(
    service: Service, serving: Any
) -> None:
    service.may_answer.clear()
    async with serving(60) as connect:
        idle, _ = await connect()
        used, writer = await connect()
        writer.write(REQUEST)
        await service.asked.wait()
        service.stop.set()

        assert await idle.read() == b""

        service.may_answer.set()

        assert (await used.read()).startswith(ANSWER)


async def until_closed(open_before: int) -> None:
    """Return once the server has no more tasks for connections than before."""
    async with asyncio.timeout(20):
        while len(asyncio.all_tasks()) > open_before:  # noqa: ASYNC110  # Polling: there is no event.
            await asyncio.sleep(0.01)


async def test_nothing_is_left_of_a_connection_whose_client_goes_before_its_answer(
    service: Service, serving: Any
) -> None:
    service.may_answer.clear()
    async with serving(60) as connect:
        before = len(asyncio.all_tasks())
        _, writer = await connect()
        writer.write(REQUEST)
        await service.asked.wait()
        writer.close()

        await until_closed(before)


@pytest.mark.parametrize("request_", [b"", b"GET / HT", REQUEST])
async def test_nothing_is_left_of_a_connection_whose_client_goes_while_it_is_idle(
    serving: Any, request_: bytes
) -> None:
    async with serving(60) as connect:
        before = len(asyncio.all_tasks())
        reader, writer = await connect()
        writer.write(request_)
        if request_ is REQUEST:
            await reader.readuntil(b"0\r\n\r\n")
        writer.close()

        await until_closed(before)


async def test_a_client_that_does_not_read_has_a_piece_more_than_the_kernel_takes(
    service: Service, serving: Any
) -> None:
    service.parts = [b"x" * PIECE] * 100
    async with serving(60) as connect:
        reader, writer = await connect()
        writer.transport.pause_reading()
        writer.write(REQUEST)
        await service.asked.wait()
        taken = -1
        while taken < service.taken:
            taken = service.taken
            await asyncio.sleep(0.1)  # It has stopped if nothing was taken meanwhile.

        # The kernel's two buffers have their default, some 200 kB each.
        assert taken < 20 * PIECE

        writer.transport.resume_reading()

        found = 0
        while found < 100 * PIECE:
            found += (await reader.read(PIECE)).count(b"x")


async def test_an_answer_may_take_its_time_between_two_parts(
    service: Service, serving: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection_server, "PROGRESS_SECONDS", 0.1)
    service.parts, service.seconds_between = [b"first", b"second"], 0.3
    async with serving(60) as connect:
        reader, writer = await connect()
        writer.write(REQUEST)

        assert b"second" in await reader.readuntil(b"0\r\n\r\n")


async def test_a_write_that_the_client_does_not_read_ends_the_connection(
    service: Service, serving: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection_server, "PROGRESS_SECONDS", 0.1)
    service.parts = [b"x" * PIECE] * 100
    async with serving(60) as connect:
        before = len(asyncio.all_tasks())
        _, writer = await connect()
        writer.transport.pause_reading()
        writer.write(REQUEST)
        await service.asked.wait()
        with counted("PROGRESS_SECONDS"):
            await until_closed(before)


class Recorded(Budget[ConnectionServer]):
    """It keeps which connections have waited, and with how many bytes."""

    def __init__(self, limit: int) -> None:
        super().__init__(limit, ConnectionServer.end_unread)
        self.waited: dict[ConnectionServer, int] = {}

    def hold(self, holder: ConnectionServer, client: str, size: int) -> None:
        super().hold(holder, client, size)
        self.waited[holder] = size


async def number_of_x(reader: asyncio.StreamReader) -> int:
    """Read a response until its end, or until the connection is closed."""
    found, data = 0, b""
    with suppress(ConnectionError):
        while not data.endswith(b"\r\n0\r\n\r\n") and (piece := await reader.read(PIECE)):
            found += piece.count(b"x")
            data = data[-10:] + piece
    return found


async def test_beyond_the_limit_the_connection_that_waits_longest_is_closed(
    service: Service, serving: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = 100 * PIECE
    unread = Recorded(2 * size + PIECE)
    monkeypatch.setattr(ConnectionServer, "unread", unread)
    service.parts = [b"x" * size]
    async with serving(60) as connect:
        clients = [await connect() for _ in range(3)]
        with counted("UNREAD_BYTES"):
            for number, (_, writer) in enumerate(clients, 1):
                writer.transport.pause_reading()
                writer.write(REQUEST)
                while len(unread.waited) < number:  # noqa: ASYNC110  # Polling: there is no event.
                    await asyncio.sleep(0.01)
        for _, writer in clients:
            writer.transport.resume_reading()
        found = [await number_of_x(reader) for reader, _ in clients]

    assert found[0] < size
    assert found[1:] == [size, size]


async def test_what_follows_the_bytes_that_are_sent_counts_as_well(
    service: Service, serving: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    unread = Recorded(10**9)
    monkeypatch.setattr(ConnectionServer, "unread", unread)
    monkeypatch.setattr(H11Protocol, "following", 10**8, raising=False)
    service.parts = [b"x" * 100 * PIECE]
    async with serving(60) as connect:
        _, writer = await connect()
        writer.transport.pause_reading()
        writer.write(REQUEST)
        while not unread.waited:  # noqa: ASYNC110  # Polling: there is no event.
            await asyncio.sleep(0.01)

    assert min(unread.waited.values()) > 10**8


async def test_an_ended_response_is_logged_with_its_own_request(
    service: Service, serving: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another request exceeds the budget, and in its context the connection is closed."""
    size = 100 * PIECE
    monkeypatch.setattr(ConnectionServer, "unread", Recorded(size + PIECE))
    service.parts = [b"x" * size]
    clients = []
    with capture_logs([merge_contextvars]) as lines:
        async with serving(60) as connect:
            for name in ("first", "second"):
                service.name = name
                _, writer = await connect()
                clients.append(writer)
                writer.transport.pause_reading()
                writer.write(REQUEST)
                while len(ConnectionServer.unread.waited) < len(clients):  # type: ignore[attr-defined]  # noqa: ASYNC110
                    await asyncio.sleep(0.01)

    [line] = [line for line in lines if line.get("limit") == "UNREAD_BYTES"]
    assert (line["event"], line["request_id"]) == ("response aborted", "first")


def test_hypercorn_has_the_place_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    names = vars(hypercorn.asyncio.run)
    monkeypatch.setitem(names, "TCPServer", names["TCPServer"])
    monkeypatch.setattr(ConnectionServer, "connections", ConnectionServer.connections)
    connection_server.register(ConnectionServer.connections)

    assert names["TCPServer"] is ConnectionServer


class Seen:
    """The calls of a server for its connections."""

    def __init__(self) -> None:
        self.entered: list[ConnectionServer] = []
        self.left: list[ConnectionServer] = []

    def enter(self, _descriptor: int, connection: ConnectionServer) -> bool:
        self.entered.append(connection)
        return True

    def leave(self, _descriptor: int, connection: ConnectionServer) -> None:
        self.left.append(connection)


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> Seen:
    seen = Seen()
    monkeypatch.setattr(ConnectionServer, "connections", seen)
    monkeypatch.setattr(connection_server, "IDLE_SECONDS_FOR_OTHERS", 0)
    monkeypatch.setattr(connection_server, "PROGRESS_SECONDS", 1000)
    return seen


@pytest.mark.parametrize("sent", [b"", b"GET / HT"])
async def test_an_idle_connection_may_soon_be_closed_for_another_client(
    serving: Any, seen: Seen, sent: bytes
) -> None:
    async with serving(60) as connect:
        _, writer = await connect()
        writer.write(sent)
        await asyncio.sleep(0.1)
        [server] = seen.entered
        at = server.closable_at()

        assert at is not None
        assert at < asyncio.get_running_loop().time()


async def test_one_in_use_may_not(service: Service, serving: Any, seen: Seen) -> None:
    service.may_answer.clear()
    async with serving(60) as connect:
        _, writer = await connect()
        writer.write(REQUEST)
        await service.asked.wait()

        assert [one.closable_at() for one in seen.entered] == [None]

        service.may_answer.set()


async def test_little_is_buffered_of_what_follows_a_request_in_progress(
    service: Service, serving: Any, seen: Seen
) -> None:
    service.may_answer.clear()
    async with serving(60) as connect:
        _, writer = await connect()
        writer.write(REQUEST + REQUEST * (5 * READ_PIECE // len(REQUEST)))
        await service.asked.wait()
        [server] = seen.entered
        async with asyncio.timeout(10):
            # asyncio's own limit is 128 KiB, which this would not reach.
            while server.writer.transport.is_reading():  # type: ignore[attr-defined]  # noqa: ASYNC110
                await asyncio.sleep(0.01)

        writer.transport.abort()


@pytest.mark.limit("IDLE_SECONDS_FOR_OTHERS")
@pytest.mark.parametrize(
    ("request_", "seconds"),
    [
        (REQUEST, 0),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc", 1000),
    ],
)
async def test_one_whose_client_is_slow_to_read_may_soon_and_to_send_a_body_much_later(
    service: Service, serving: Any, seen: Seen, request_: bytes, seconds: float
) -> None:
    service.parts = [b"x" * PIECE] * 100
    if request_ is not REQUEST:
        service.may_answer.clear()
    async with serving(60) as connect:
        _, writer = await connect()
        writer.transport.pause_reading()
        writer.write(request_)
        await service.asked.wait()
        [server] = seen.entered
        while (at := server.closable_at()) is None:  # noqa: ASYNC110  # Polling: there is no event.
            await asyncio.sleep(0.01)

        # They are 0 and 1000 here.
        assert at - seconds <= asyncio.get_running_loop().time() < at - seconds + 100

        writer.transport.abort()


async def test_a_connection_leaves_even_if_it_fails_at_once(
    serving: Any, seen: Seen, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_self: ConnectionServer) -> None:
        raise RuntimeError("no")

    monkeypatch.setattr(ConnectionServer, "_run", fail)
    async with serving(60) as connect:
        reader, _ = await connect()

        assert await reader.read() == b""
        assert seen.left == seen.entered
        assert len(seen.left) == 1
