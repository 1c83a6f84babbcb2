"""Unfinished bodies: how much is kept of them, and which requests are refused."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from pydantic import SecretStr
from quart import Quart

from service import limits
from service.budget import Budget
from service.common.database import transfers
from service.common.middleware import admission, schemas
from service.common.web import body_limits
from service.common.web.app import App
from service.common.web.bodies import MeasuredBody
from service.limits import LARGE_BODIES, LONG_BYTES, client_share
from service.settings import Settings
from tests.app import create_app
from tests.counted import counted
from tests.factories import item
from tests.integration.test_connection import GONE, Exchange, part

LIMIT = 10_000
ALL = 3 * LIMIT
# The original, before a test changes it.
LINGER_SECONDS = body_limits.LINGER_SECONDS
KEY = "k" * 16
NDJSON = "application/x-ndjson"
JSON = {"content_type": "application/json", "content_length": str(LIMIT), "x_api_key": KEY}
LINES = {
    "content_type": NDJSON,
    "transfer_encoding": "chunked",
    "x_api_key": KEY,
}


@pytest.fixture
async def running(
    settings: Settings, empty_database: None, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Quart]:
    """Return an application with a small budget, which waits for no rest of a body."""
    monkeypatch.setattr(body_limits, "LINGER_SECONDS", 0)
    changes = {"max_bodies_bytes": ALL, "secure_api_key": SecretStr(KEY)}
    app = create_app(settings.model_copy(update=changes))
    async with app.test_app():
        yield app


def budget(app: App) -> Budget[MeasuredBody]:
    """Return the budget of an application."""
    return app.body_budget


async def settle() -> None:
    """Let every task run until it waits."""
    for _ in range(50):
        await asyncio.sleep(0)


async def until(holds: Callable[[], bool]) -> None:
    """Return once something holds."""
    async with asyncio.timeout(30):
        while not holds():  # noqa: ASYNC110  # Polling: there is no event.
            await asyncio.sleep(0)


@pytest.mark.limit("BODIES_BYTES")
async def test_bodies_fill_the_budget_and_one_byte_more_has_the_largest_refused(
    running: App,
) -> None:
    sizes = (LIMIT - 2, LIMIT, LIMIT - 1, 2)
    states: list[dict[str, Any]] = [{} for _ in sizes]
    exchanges = [Exchange(running, "/item", "POST", state=state, **JSON) for state in states]
    bodies = [part(b" " * size, more=True) for size in sizes]
    pairs = zip(exchanges, bodies, strict=True)
    tasks = [asyncio.create_task(exchange.run(body)) for exchange, body in pairs]
    await until(lambda: budget(running).held >= ALL - 1)
    exchanges[3].received.put_nowait(part(b" ", more=True))
    await until(lambda: budget(running).held == ALL)
    await settle()
    before = [bool(exchange.sent) for exchange in exchanges]
    with counted("BODIES_BYTES"):
        exchanges[3].received.put_nowait(part(b" ", more=True))
        await until(lambda: bool(exchanges[1].sent))
        await settle()
    after = [bool(exchange.sent) for exchange in exchanges]
    for exchange in exchanges:
        exchange.received.put_nowait(GONE)
    await asyncio.gather(*tasks)

    assert before == [False] * 4
    assert after == [False, True, False, False]
    assert exchanges[1].status == 503
    assert (states[1]["error"], states[1]["limit"]) == ("Unavailable", "BODIES_BYTES")


@pytest.mark.limit("BODIES_BYTES")
async def test_bodies_beyond_the_budget_are_refused_and_small_ones_are_not(running: App) -> None:
    # For the shared limit: three of them fit.
    large = [Exchange(running, "/item", "POST", **JSON) for _ in range(10)]
    tasks = []
    for exchange in large:
        tasks.append(asyncio.create_task(exchange.run(part(b" " * LIMIT, more=True))))
        await until(lambda: budget(running).held > 0)
        await settle()
        assert budget(running).held <= ALL
    await until(lambda: sum(bool(exchange.sent) for exchange in large) == len(large) - 3)
    body = json.dumps(item()).encode()
    small = Exchange(running, "/item", "POST", **JSON | {"content_length": str(len(body))})
    await small.run(part(body))
    for exchange in large:
        exchange.received.put_nowait(GONE)
    await asyncio.gather(*tasks)

    refused = [exchange for exchange in large if exchange.sent]
    assert {exchange.status for exchange in refused} == {503}
    assert json.loads(refused[0].body)["error"]["type"] == "Unavailable"
    headers = dict(refused[0].sent[0]["headers"])
    assert (headers[b"retry-after"], headers[b"connection"]) == (b"1", b"close")
    assert small.status == 201
    assert budget(running).held == 0


@pytest.mark.parametrize(
    ("status", "method", "path", "headers"),
    [
        (401, "POST", "/item", {"x_api_key": "wrong"}),
        (404, "POST", "/elsewhere", {}),
        (405, "POST", "/item/1", {}),
        (415, "POST", "/item", {"content_type": "text/plain"}),
        (415, "POST", "/item", {"content_encoding": "gzip"}),
        (415, "POST", "/item", {"content_type": NDJSON, "content_encoding": "gzip"}),
        (415, "POST", "/item", {"content_type": "text/csv; header=absent"}),
        (413, "POST", "/item", {"content_length": str(LIMIT + 1)}),
    ],
)
async def test_a_response_before_the_body_keeps_nothing_of_it(
    running: App,
    monkeypatch: pytest.MonkeyPatch,
    status: int,
    method: str,
    path: str,
    headers: dict[str, str],
) -> None:
    monkeypatch.setattr(body_limits, "LINGER_SECONDS", 30)
    exchange = Exchange(running, path, method, **JSON | headers)
    task = asyncio.create_task(exchange.run(part(b" " * 1000, more=True)))
    # It waits for the rest, and drops that.
    for _ in range(20):
        exchange.received.put_nowait(part(b" " * 1000, more=True))
        await until(lambda: exchange.received.empty() and not budget(running).held)
    exchange.received.put_nowait(part())
    await task

    assert exchange.status == status


@pytest.mark.limit("LINGER_SECONDS")
@pytest.mark.parametrize("in_time", [True, False])
async def test_an_answer_waits_a_moment_for_the_rest_of_a_body(
    running: App, monkeypatch: pytest.MonkeyPatch, in_time: bool
) -> None:
    monkeypatch.setattr(body_limits, "LINGER_SECONDS", 30 if in_time else 0.01)
    exchange = Exchange(running, "/elsewhere", "POST", **JSON)
    task = asyncio.create_task(exchange.run(part(b" ", more=True)))
    if in_time:
        await settle()
        before = [*exchange.sent]
        exchange.received.put_nowait(part())
    await task

    assert not in_time or before == []
    assert ((b"connection", b"close") in exchange.sent[0]["headers"]) == (not in_time)
    assert limits.LINGER_SECONDS.value == LINGER_SECONDS


async def test_a_client_that_disconnects_releases_its_body(running: App) -> None:
    early = Exchange(running, "/item", "POST", **JSON)
    await early.run(part(b" " * 1000, more=True), GONE)
    late = Exchange(running, "/item", "POST", **JSON)
    task = asyncio.create_task(late.run(part(b" " * 1000, more=True)))
    await until(lambda: budget(running).held > 0)
    held = budget(running).held
    late.received.put_nowait(GONE)
    await task

    assert (held, budget(running).held) == (1000, 0)
    assert early.sent == late.sent == []


def be_patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let imports wait, and their clients rest, for as long as a busy machine needs."""
    monkeypatch.setattr(limits, "POOL_WAIT_SECONDS", limits.POOL_WAIT_SECONDS._replace(value=60))
    monkeypatch.setattr(transfers, "SECONDS_FOR_OTHERS", 60)


def imports_of(app: App, peer: str, number: int, **options: Any) -> list[Exchange]:
    """Return imports of a client."""
    return [Exchange(app, "/item", "POST", peer=peer, **options, **LINES) for _ in range(number)]


async def begin(exchanges: list[Exchange], running: int) -> list[asyncio.Task[None]]:
    """Send 20 parts of each import, and return once those of the first `running` are read."""
    tasks = [asyncio.create_task(one.run()) for one in exchanges]
    await settle()
    for exchange in exchanges:
        for _ in range(20):
            exchange.received.put_nowait(part(b"\n" * 100, more=True))
    await until(lambda: all(one.received.empty() for one in exchanges[:running]))
    await settle()
    return tasks


@pytest.mark.limit("IMPORTS", "IMPORTS_WAITING")
async def test_no_byte_of_an_import_is_read_before_its_turn(
    running: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    be_patient(monkeypatch)
    most = limits.IMPORTS.value, limits.IMPORTS_WAITING.value
    # Two clients, each with its share.
    exchanges = [
        exchange
        for number in most
        for peer in ("192.0.2.1", "192.0.2.2")
        for exchange in imports_of(running, peer, number // 2)
    ]
    tasks = await begin(exchanges, most[0])
    unread = [exchange.received.qsize() for exchange in exchanges]
    # Of clients of which none waits, as many again may wait.
    others = [imports_of(running, f"192.0.2.1{n}", 1)[0] for n in range(most[1])]
    waiting = [asyncio.create_task(one.run()) for one in others]
    await settle()
    state: dict[str, Any] = {}
    [one_more] = imports_of(running, "192.0.2.3", 1, state=state)
    with counted("IMPORTS"):
        await one_more.run(part(b"\n", more=True))
    answered = [exchange for exchange in others if exchange.sent]
    for task in waiting:
        task.cancel()
    await asyncio.wait(waiting)
    # When a client leaves, the next import is read.
    exchanges[0].received.put_nowait(GONE)
    await tasks[0]
    await until(exchanges[most[0]].received.empty)
    for exchange in exchanges[1:]:
        exchange.received.put_nowait(part())
    await asyncio.gather(*tasks)

    assert unread == [0] * most[0] + [20] * most[1]
    assert answered == []
    assert one_more.status == 503
    assert (state["error"], state["limit"]) == ("Unavailable", "IMPORTS")
    assert {exchange.status for exchange in exchanges[1:]} == {201}


@pytest.mark.limit("CLIENT_SHARE")
async def test_a_client_imports_with_its_share_and_leaves_the_rest_to_others(
    running: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    be_patient(monkeypatch)
    most = client_share(limits.IMPORTS.value), client_share(limits.IMPORTS_WAITING.value)
    exchanges = imports_of(running, "192.0.2.1", sum(most))
    tasks = await begin(exchanges, most[0])
    unread = [exchange.received.qsize() for exchange in exchanges]
    state: dict[str, Any] = {}
    [one_more] = imports_of(running, "192.0.2.1", 1, state=state)
    with counted("CLIENT_SHARE"):
        await one_more.run(part(b"\n", more=True))
    [other] = imports_of(running, "192.0.2.2", 1)
    with counted("CLIENT_SHARE", 0):
        await other.run(part(b"\n"))
    for exchange in exchanges:
        exchange.received.put_nowait(part())
    await asyncio.gather(*tasks)

    assert most == (limits.IMPORTS.value // 2, limits.IMPORTS_WAITING.value // 2)
    assert unread == [0] * most[0] + [20] * most[1]
    assert one_more.status == 503
    assert (state["error"], state["limit"]) == ("Unavailable", "CLIENT_SHARE")
    assert other.status == 201
    assert {exchange.status for exchange in exchanges} == {201}


@pytest.mark.limit("TRANSFER_MILLISECONDS_FOR_OTHERS")
async def test_an_import_whose_records_do_not_arrive_ends_when_another_waits(
    running: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    # None of them has paused that long when the other one begins to wait.
    monkeypatch.setattr(transfers, "SECONDS_FOR_OTHERS", 0.3)
    states: list[dict[str, Any]] = [{} for _ in range(limits.IMPORTS.value)]
    resting = [
        exchange
        for number, state in enumerate(states)
        for exchange in imports_of(running, f"192.0.2.{number % 2}", 1, state=state)
    ]
    tasks = [asyncio.create_task(one.run(part(b"\n", more=True))) for one in resting]
    await until(lambda: all(one.received.empty() for one in resting))
    await settle()
    another = Exchange(running, "/item", "POST", **LINES)
    await another.run(part(b"\n"))
    for exchange in resting:
        exchange.received.put_nowait(part())
    await asyncio.gather(*tasks)

    assert another.status == 201
    assert sorted(exchange.status for exchange in resting) == [201] * (len(resting) - 1) + [408]
    [ended] = [state for state in states if "error" in state]
    assert (ended["error"], ended["limit"]) == ("RequestTimeout", "TRANSFER_BYTES_FOR_OTHERS")


@pytest.mark.limit("REQUEST_SECONDS")
async def test_a_body_that_does_not_arrive_in_time_is_refused_and_the_reason_noted(
    settings: Settings,
) -> None:
    app = create_app(settings.model_copy(update={"request_timeout": 0.05}))
    state: dict[str, Any] = {}
    exchange = Exchange(app, "/item", "POST", state=state, **JSON)
    with counted("REQUEST_SECONDS"):
        await exchange.run(part(b"[", more=True))

    assert exchange.status == 408
    assert (state["error"], state["limit"]) == ("RequestTimeout", "REQUEST_SECONDS")


@pytest.mark.limit("BODIES_BYTES")
async def test_a_body_that_waits_to_be_parsed_counts_and_can_be_refused(
    running: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schemas, "SMALL_BODY_BYTES", LIMIT - 1)
    end = await running.long_steps.start()
    complete, *others = [Exchange(running, "/item", "POST", **JSON) for _ in range(4)]
    tasks = [asyncio.create_task(complete.run(part(b" " * LIMIT)))]
    await until(lambda: len(running.long_steps) > 0)
    counted = budget(running).held
    tasks += [asyncio.create_task(one.run(part(b" " * LIMIT, more=True))) for one in others]
    await settle()
    held = budget(running).held
    end()
    await tasks[0]
    for one in others:
        one.received.put_nowait(GONE)
    await asyncio.gather(*tasks)

    assert counted == LIMIT
    assert held == ALL
    assert complete.status == 503
    assert budget(running).held == 0


@pytest.mark.limit("LONG_BYTES")
async def test_a_long_body_is_parsed_when_its_turn_comes(running: App) -> None:
    end = await running.long_steps.start()
    short, long = [Exchange(running, "/item", "POST", **JSON) for _ in range(2)]
    await short.run(part(b" " * LONG_BYTES.value))
    task = asyncio.create_task(long.run(part(b" " * (LONG_BYTES.value + 1))))
    await until(lambda: len(running.long_steps) > 0)

    assert short.status == 400
    assert long.sent == []

    end()
    await task

    assert long.status == 400


@pytest.mark.limit("LARGE_BODIES")
async def test_only_so_many_requests_with_large_bodies_are_in_progress(
    running: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their parsed values take several times the memory of the bodies."""
    monkeypatch.setattr(schemas, "SMALL_BODY_BYTES", LIMIT - 1)
    monkeypatch.setattr(admission, "WAIT_SECONDS", 0.05)
    places = running.large_bodies.places
    for _ in range(LARGE_BODIES.value):
        places.add("another")
    small = Exchange(running, "/item", "POST", **JSON)
    large = Exchange(running, "/item", "POST", **JSON)
    with counted("LARGE_BODIES"):
        await small.run(part(b"{}"))
        await large.run(part(b" " * LIMIT))
    places.release("another")
    again = Exchange(running, "/item", "POST", **JSON)
    await again.run(part(b" " * LIMIT))

    assert (small.status, large.status, again.status) == (422, 503, 400)
    assert b'"type":"Unavailable"' in large.body
    # That of the request that was answered.
    assert places.free == 1


async def test_a_client_may_have_a_quarter_of_the_requests_with_large_bodies(
    running: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schemas, "SMALL_BODY_BYTES", LIMIT - 1)
    monkeypatch.setattr(admission, "WAIT_SECONDS", 0.05)
    for _ in range(LARGE_BODIES.value // 4):
        running.large_bodies.places.add("127.0.0.1")
    beyond = Exchange(running, "/item", "POST", **JSON)
    another = Exchange(running, "/item", "POST", peer="10.0.0.1", **JSON)
    with counted("CLIENT_SHARE"):
        await beyond.run(part(b" " * LIMIT))
        await another.run(part(b" " * LIMIT))

    assert (beyond.status, another.status) == (503, 400)
