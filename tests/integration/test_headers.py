"""Request ids, CORS, and what else is on every answer."""

import asyncio
import re
from typing import Any

import pytest
from quart import Quart

from service.settings import Settings
from tests.app import create_app
from tests.client import Client
from tests.factories import item

ORIGIN = "http://localhost:8080"
OWN = (
    "Authorization, Content-Type, If-Match, If-None-Match, Idempotency-Key, Prefer, X-API-Key,"
    " X-Request-ID, _secure_key"
)
EXPOSED = (
    "ETag, Idempotency-Replayed, Link, Location, Preference-Applied, Retry-After, X-Request-ID,"
    " X-Total-Count"
)


@pytest.mark.parametrize("given", ["a", "A-z.0_9", "x" * 64])
async def test_a_well_formed_request_id_is_kept(client: Client, given: str) -> None:
    response = await client.get("/livez", headers={"X-Request-ID": given})

    assert response.headers["X-Request-ID"] == given


@pytest.mark.parametrize("given", ["", "x" * 65, "a b", "a\u00e9", "{}", "a\tb"])
async def test_any_other_request_id_is_replaced(client: Client, given: str) -> None:
    response = await client.get("/livez", headers={"X-Request-ID": given})

    assert re.fullmatch("[0-9a-f]{32}", response.headers["X-Request-ID"])


async def test_two_requests_have_two_ids(client: Client) -> None:
    ids = {(await client.get("/livez")).headers["X-Request-ID"] for _ in range(10)}

    assert len(ids) == 10


@pytest.mark.parametrize("path", ["/item", "/livez", "/nope", "/item/abc"])
async def test_a_preflight_is_answered_before_anything_else(client: Client, path: str) -> None:
    headers = {"Origin": ORIGIN, "Access-Control-Request-Method": "PUT"}
    response = await client.options(path, headers=headers)

    assert response.status_code == 204
    assert await response.get_data() == b""
    assert response.headers["Access-Control-Allow-Origin"] == ORIGIN
    assert response.headers["Access-Control-Allow-Methods"] == (
        "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"
    )
    assert response.headers["Access-Control-Allow-Headers"] == OWN
    assert "Origin" in response.headers["Vary"]


@pytest.mark.parametrize(
    ("asked", "more"),
    [
        ("baggage,sentry-trace,traceparent", ["baggage", "sentry-trace", "traceparent"]),
        ("Traceparent , X-B3-TraceId", ["Traceparent", "X-B3-TraceId"]),
        ("traceparent, tracestate, traceparent", ["traceparent", "tracestate"]),
        ("authorization,content-type,x-api-key,_secure_key,IF-MATCH", []),
        ("!#$%&'*+-.^_`|~09az", ["!#$%&'*+-.^_`|~09az"]),
        (['a b, c:d, "e", (f), g/h, \u00fc, good,, ,'], ["good"]),
        ("", []),
    ],
)
async def test_a_preflight_allows_every_header_that_is_asked_for(
    client: Client, asked: str, more: list[str]
) -> None:
    headers = {
        "Origin": ORIGIN,
        "Access-Control-Request-Method": "GET",
        "Access-Control-Request-Headers": asked,
    }
    response = await client.options("/item", headers=headers)

    assert response.status_code == 204
    assert response.headers["Access-Control-Allow-Headers"] == ", ".join([OWN, *more])


async def test_another_origin_is_not_echoed(client: Client) -> None:
    headers = {"Origin": "http://evil.example", "Access-Control-Request-Method": "PUT"}

    for response in (
        await client.options("/item", headers=headers),
        await client.get("/item", headers=headers),
    ):
        assert "Access-Control-Allow-Origin" not in response.headers
        assert "Origin" in response.headers["Vary"]


@pytest.mark.parametrize("path", ["/item", "/livez", "/nope"])
async def test_a_listed_origin_may_read_every_answer(client: Client, path: str) -> None:
    response = await client.get(path, headers={"Origin": ORIGIN})

    assert response.headers["Access-Control-Allow-Origin"] == ORIGIN
    assert response.headers["Access-Control-Expose-Headers"] == EXPOSED


async def test_an_answer_without_an_origin_varies_all_the_same(client: Client) -> None:
    response = await client.post("/item", json=item())

    assert response.headers["Vary"] == "Origin"
    assert "Access-Control-Allow-Origin" not in response.headers


async def test_a_star_lets_every_origin_in(settings: Settings) -> None:
    app = create_app(settings.model_copy(update={"cors_origins": ("*",)}))
    response = await app.test_client().get("/livez", headers={"Origin": "http://any.example"})

    assert response.headers["Access-Control-Allow-Origin"] == "*"
    assert "Vary" not in response.headers


@pytest.mark.parametrize(
    ("path", "allow"),
    [
        ("/item", "GET, HEAD, OPTIONS, POST"),
        ("/item/1", "DELETE, GET, HEAD, OPTIONS, PATCH, PUT"),
        ("/livez", "GET, HEAD, OPTIONS"),
    ],
)
async def test_a_plain_options_lists_the_methods(client: Client, path: str, allow: str) -> None:
    response = await client.options(path)

    assert response.status_code == 204
    assert response.headers["Allow"] == allow


async def test_a_websocket_is_answered_like_a_get(app: Quart, empty_database: None) -> None:
    sent: list[dict[str, Any]] = []
    events: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    events.put_nowait({"type": "websocket.connect"})

    async def send(event: dict[str, Any]) -> None:
        sent.append(event)

    scope = {
        "type": "websocket",
        "http_version": "1.1",
        "scheme": "ws",
        "path": "/item/1",
        "raw_path": b"/item/1",
        "query_string": b"",
        "root_path": "",
        "headers": [(b"host", b"localhost")],
        "state": {},
    }
    await app(scope, events.get, send)  # type: ignore[arg-type]

    assert sent[0]["type"] == "websocket.http.response.start"
    assert sent[0]["status"] == 404
    assert b"RecordNotFound" in sent[1]["body"]
