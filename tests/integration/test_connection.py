"""A request and its answer in one task: bodies that come early, late or never, clients that go."""

import asyncio
import gc
from collections.abc import AsyncIterator
from typing import Any
from weakref import ref

import pytest
from quart import Quart, request
from quart.wrappers import Response

from service.common.middleware import admission
from service.common.web import App
from service.common.web.connection import GIVE_UP, OneTaskConnection
from service.docs.domain import ASSETS, FOLDER
from service.limits import REQUESTS_IN_PROGRESS
from service.server.http1 import end_request
from service.settings import Settings
from tests.app import create_app
from tests.counted import counted

START, BODY, GONE = "http.response.start", "http.response.body", {"type": "http.disconnect"}


def part(body: bytes = b"", *, more: bool = False) -> dict[str, Any]:
    return {"type": "http.request", "body": body, "more_body": more}


class Exchange:
    """One request as an ASGI server makes it."""

    def __init__(
        self,
        app: Quart,
        path: str,
        method: str = "GET",
        state: Any = None,
        peer: str = "127.0.0.1",
        **headers: str,
    ) -> None:
        self.received: asyncio.Queue[Any] = asyncio.Queue()
        self.sent: list[Any] = []
        self._app = app
        self._scope: Any = {
            "type": "http",
            "http_version": "1.1",
            "asgi": {"version": "3.0"},
            "method": method,
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "root_path": "",
            "headers": [
                (name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()
            ],
            "client": (peer, 1),
            "server": ("127.0.0.1", 2),
            "extensions": {},
        }
        if state is not None:
            self._scope["state"] = state

    async def run(self, *messages: Any, root_path: str = "") -> None:
        for message in messages:
            self.received.put_nowait(message)
        scope = self._scope | {"root_path": root_path}

        try:
            await self._app(scope, self.received.get, self.take)
        finally:
            # Like a server after every response, and when it cancels a request.
            self.received.put_nowait(GONE)

    async def take(self, event: Any) -> None:
        self.sent.append(event)

    @property
    def status(self) -> int:
        return int(self.sent[0]["status"])

    @property
    def body(self) -> bytes:
        return b"".join(event["body"] for event in self.sent if event["type"] == BODY)


class Views:
    """Views that record their outcome."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.entered = 0
        self.cancelled = False

    async def wait(self) -> str:
        self.entered += 1
        self.begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.cancelled = True
            raise
        return ""

    async def address(self) -> str:
        return str(request.remote_addr)

    async def echo(self) -> bytes:
        self.begun.set()
        return bytes(await request.body)


@pytest.fixture
def views() -> Views:
    return Views()


@pytest.fixture
async def running(settings: Settings, views: Views) -> AsyncIterator[App]:
    app = create_app(settings)
    app.add_url_rule("/wait", view_func=views.wait, methods=["GET", "POST"])
    app.add_url_rule("/address", view_func=views.address)
    app.add_url_rule("/echo", view_func=views.echo, methods=["GET", "POST"])
    async with app.test_app():
        yield app


JSON = {"content_type": "application/json"}


async def test_the_server_reports_that_the_client_disconnects(running: Quart, views: Views) -> None:
    state: dict[str, Any] = {GIVE_UP: None}
    exchange = Exchange(running, "/wait", state=state)
    request = asyncio.create_task(exchange.run(part()))
    await views.begun.wait()
    state[GIVE_UP]()
    await request

    assert views.cancelled
    assert exchange.sent == []


async def test_a_request_whose_client_disconnects_before_its_task_starts_does_nothing(
    running: Quart, views: Views
) -> None:
    state: dict[str, Any] = {GIVE_UP: None}
    exchange = Exchange(running, "/wait", state=state)
    end_request({"state": state})
    await exchange.run(part())

    assert not views.begun.is_set()
    assert exchange.sent == []


async def test_a_body_whose_client_disconnects_before_its_task_starts_is_dropped(
    running: App,
) -> None:
    state: dict[str, Any] = {GIVE_UP: None}
    exchange = Exchange(running, "/echo", "POST", state=state, content_length="7", **JSON)
    end_request({"state": state})
    await exchange.run(part(b'{"a":1}'))

    assert exchange.sent == []
    assert running.body_budget.held == 0


async def test_a_request_without_a_body_is_answered(running: Quart) -> None:
    exchange = Exchange(running, "/livez")
    await exchange.run(part())

    assert (exchange.status, exchange.body) == (200, b'{"status":"alive"}')
    assert [event["type"] for event in exchange.sent] == [START, BODY]


@pytest.mark.parametrize(
    "messages",
    [
        [part(b'{"a":1}')],
        [part(b'{"a":1}', more=True), part()],
        [part(b'{"a"', more=True), part(b":1}", more=True), part()],
    ],
)
async def test_a_body_that_has_come_with_its_request_is_read(
    running: Quart, messages: list[Any]
) -> None:
    exchange = Exchange(running, "/echo", "POST", content_length="7", **JSON)
    await exchange.run(*messages)

    assert (exchange.status, exchange.body) == (200, b'{"a":1}')


async def test_a_body_that_comes_later_is_read(running: Quart, views: Views) -> None:
    exchange = Exchange(running, "/echo", "POST", transfer_encoding="chunked", **JSON)
    task = asyncio.create_task(exchange.run(part(b'{"a"', more=True)))
    await views.begun.wait()
    exchange.received.put_nowait(part(b":1}", more=True))
    exchange.received.put_nowait(part())
    await task

    assert (exchange.status, exchange.body) == (200, b'{"a":1}')


@pytest.mark.parametrize(
    ("headers", "messages"),
    [
        ({}, [part()]),
        ({"content_length": "1", **JSON}, [part(b"1")]),
        ({"content_length": "2", **JSON}, [part(b"1", more=True)]),
    ],
)
async def test_a_response_is_cancelled_if_its_client_disconnects(
    running: Quart, views: Views, headers: dict[str, str], messages: list[Any]
) -> None:
    exchange = Exchange(running, "/wait", "POST" if headers else "GET", **headers)
    task = asyncio.create_task(exchange.run(*messages))
    await views.begun.wait()
    exchange.received.put_nowait(GONE)
    await task

    assert (views.cancelled, exchange.sent) == (True, [])


@pytest.mark.parametrize("headers", [{}, {"content_length": "2", **JSON}])
async def test_a_client_that_has_gone_before_is_not_answered(
    running: Quart, views: Views, headers: dict[str, str]
) -> None:
    exchange = Exchange(running, "/wait", "POST" if headers else "GET", **headers)
    await exchange.run(GONE)

    assert (views.begun.is_set(), exchange.sent) == (False, [])


async def test_a_cancellation_by_the_server_cancels_the_request(
    running: Quart, views: Views
) -> None:
    task = asyncio.create_task(Exchange(running, "/wait").run(part()))
    await views.begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert views.cancelled


async def test_the_address_of_a_client_is_the_servers_word(running: Quart, views: Views) -> None:
    exchange = Exchange(running, "/address", remote_addr="10.0.0.1")
    await exchange.run(part())

    assert exchange.body == b"127.0.0.1"


async def test_nothing_is_left_of_a_request(running: Quart) -> None:
    before = asyncio.all_tasks()
    for _ in range(3):
        await Exchange(running, "/livez").run(part())
        await Exchange(running, "/echo", "POST", content_length="1", **JSON).run(part(b"1"))
    await asyncio.sleep(0)

    assert asyncio.all_tasks() == before


@pytest.mark.parametrize("state", [{}, {GIVE_UP: None}])
async def test_nothing_of_a_request_is_left_to_the_garbage_collector(
    running: Quart, monkeypatch: pytest.MonkeyPatch, state: dict[str, Any]
) -> None:
    """It takes 20 ms for the reference cycles of 500 requests, in which no other one is served."""
    connections: list[ref[OneTaskConnection]] = []

    class Watched(OneTaskConnection):
        def __init__(self, app: Quart, scope: Any) -> None:
            super().__init__(app, scope)
            connections.append(ref(self))

    monkeypatch.setattr(running, "asgi_http_class", Watched)
    gc.disable()
    try:
        await Exchange(running, "/livez", state=state.copy()).run(part())
        late = Exchange(running, "/echo", "POST", state.copy(), content_length="1", **JSON)
        task = asyncio.create_task(late.run())
        await asyncio.sleep(0)
        late.received.put_nowait(part(b"1"))
        await task
        # The task that read the body ends.
        await asyncio.sleep(0.01)
        left = [one() for one in connections]
    finally:
        gc.enable()

    assert (late.status, late.body) == (200, b"1")
    assert left == [None, None]


@pytest.mark.parametrize(
    ("root_path", "path", "status"),
    [("/api", "/api/livez", 200), ("/api", "/livez", 404), ("/api", "/api", 404)],
)
async def test_below_a_root_path_there_are_the_same_routes(
    running: Quart, root_path: str, path: str, status: int
) -> None:
    exchange = Exchange(running, path)
    await exchange.run(part(), root_path=root_path)

    assert exchange.status == status


async def test_every_hook_and_every_view_is_a_coroutine(running: Quart) -> None:
    hooks = [
        *running.before_request_funcs[None],
        *running.after_request_funcs[None],
        *running.teardown_request_funcs[None],
        *running.view_functions.values(),
    ]

    assert [hook for hook in hooks if not asyncio.iscoroutinefunction(hook)] == []


async def test_a_file_is_handed_to_the_server_without_a_copy(running: Quart) -> None:
    first, second = (Exchange(running, "/docs/swagger-ui-bundle.js") for _ in range(2))
    await first.run(part())
    await second.run(part())

    assert first.body == (FOLDER / ASSETS["swagger-ui-bundle.js"]).read_bytes()
    assert first.sent[1]["body"] is second.sent[1]["body"]


async def test_a_stream_is_sent_part_by_part(running: Quart) -> None:
    async def lines() -> AsyncIterator[bytes]:
        yield b"first, "
        yield b"second"

    async def view() -> Response:
        return Response(lines())

    running.add_url_rule("/lines", view_func=view)
    exchange = Exchange(running, "/lines")
    await exchange.run(part())

    assert [event["body"] for event in exchange.sent[1:]] == [b"first, ", b"second", b""]
    assert [event.get("more_body", False) for event in exchange.sent[1:]] == [True, True, False]


async def test_messages_of_the_server_after_the_response_are_received(running: Quart) -> None:
    """hypercorn waits for that without an end, and with it the tasks of the connection."""
    # No more of a body with an ambiguous length is read before the response.
    two_ends = {"content_length": "9", "transfer_encoding": "chunked"}
    exchange = Exchange(running, "/elsewhere", "POST", **two_ends)
    await exchange.run(part(b"1", more=True))
    async with asyncio.timeout(30):
        while not exchange.received.empty():  # noqa: ASYNC110  # Polling: there is no event.
            await asyncio.sleep(0)

    assert exchange.status == 404


@pytest.mark.limit("REQUESTS_IN_PROGRESS")
async def test_only_so_many_views_run_at_a_time_and_health_is_answered_meanwhile(
    running: Quart, views: Views, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(admission, "WAIT_SECONDS", 0.05)
    many = REQUESTS_IN_PROGRESS.value
    requests = [Exchange(running, "/wait").run(part()) for _ in range(many)]
    running_ones = [asyncio.create_task(request) for request in requests]
    while views.entered < many:  # noqa: ASYNC110  # Polling: there is no event.
        await asyncio.sleep(0)
    state: dict[str, Any] = {}
    beyond = Exchange(running, "/wait", state=state, x_request_id="mine")
    health = Exchange(running, "/livez")
    with counted("REQUESTS_IN_PROGRESS"):
        await asyncio.gather(beyond.run(part()), health.run(part()))
    entered = views.entered
    for task in running_ones:
        task.cancel()
    await asyncio.wait(running_ones)
    after = Exchange(running, "/address")
    await after.run(part())

    assert entered == many
    assert beyond.status == 503
    assert (state["error"], state["limit"]) == ("Unavailable", "REQUESTS_IN_PROGRESS")
    assert (b"retry-after", b"1") in beyond.sent[0]["headers"]
    assert b'"type":"Unavailable"' in beyond.body
    assert b'"request_id":"mine"' in beyond.body
    assert health.status == after.status == 200


async def test_clients_that_are_slow_to_send_a_body_take_no_place(running: Quart) -> None:
    slow = []
    for _ in range(REQUESTS_IN_PROGRESS.value + 1):
        exchange = Exchange(running, "/item", "POST", content_length="9", x_api_key="k", **JSON)
        slow.append(asyncio.create_task(exchange.run()))
    await asyncio.sleep(0.1)  # Each waits for its body by then.
    other = Exchange(running, "/address")
    await other.run(part())
    for task in slow:
        task.cancel()
    await asyncio.wait(slow)

    assert other.status == 200
