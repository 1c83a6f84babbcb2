"""Every row of the error table that a request can reach by itself, and the order of the checks."""

import asyncio
from typing import Any

import asyncpg
import pytest
from quart import g
from quart.wrappers import Response
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from werkzeug.datastructures import WWWAuthenticate
from werkzeug.exceptions import (
    GatewayTimeout,
    HTTPException,
    ServiceUnavailable,
    Unauthorized,
)
from werkzeug.exceptions import ImATeapot as Teapot
from werkzeug.exceptions import NotImplemented as NotImplemented501
from werkzeug.exceptions import TooManyRequests as Many

from service import limits
from service.common.web.json_exceptions import to_json_exception
from service.settings import Settings
from tests.app import create_app
from tests.client import Client
from tests.counted import counted
from tests.envelope import error_of
from tests.factories import item
from tests.integration.test_connection import Exchange, part

BASIC = WWWAuthenticate("basic")
JSON = {"Content-Type": "application/json"}
URLS = ["/", "/nope", "/item/", "/item/abc", "/item/-1", "/item/01", "/item/1.0", "/item/1/"]


@pytest.mark.error("404 InvalidAPIRequest")
@pytest.mark.parametrize(
    "url", [*URLS, "/item//1", "/item/%00", "/item/%D9%A3", "/item/../livez", "/item/1%2F"]
)
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS", "FOO"])
async def test_an_unknown_url_is_a_404_and_never_a_redirect(
    client: Client, url: str, method: str
) -> None:
    error = await error_of(await client.open(url, method=method), 404, "InvalidAPIRequest")

    assert error["message"].startswith("The requested URL `/")
    assert error["message"].endswith("` was not found on the server.")


@pytest.mark.error("405 InvalidAPIRequest")
@pytest.mark.parametrize(
    ("url", "method", "allow"),
    [
        ("/item", "PUT", "GET, HEAD, OPTIONS, POST"),
        ("/item", "DELETE", "GET, HEAD, OPTIONS, POST"),
        ("/item/1", "POST", "DELETE, GET, HEAD, OPTIONS, PATCH, PUT"),
        ("/item/1", "TRACE", "DELETE, GET, HEAD, OPTIONS, PATCH, PUT"),
        ("/item", "FOO", "GET, HEAD, OPTIONS, POST"),
        ("/livez", "POST", "GET, HEAD, OPTIONS"),
        ("/openapi.json", "POST", "GET, HEAD, OPTIONS"),
    ],
)
async def test_a_method_that_a_url_does_not_have_is_a_405(
    client: Client, url: str, method: str, allow: str
) -> None:
    response = await client.open(url, method=method)
    error = await error_of(response, 405, "InvalidAPIRequest")

    assert response.headers["Allow"] == allow
    assert error["message"] == f"The method `{method}` is not allowed here: use {allow}."


@pytest.mark.error("415 InvalidContentType")
@pytest.mark.parametrize(
    "content_type",
    ["text/plain", "application/jsonx", "application/x-www-form-urlencoded", "json", "", None],
)
async def test_a_body_that_is_not_json_is_a_415(client: Client, content_type: str | None) -> None:
    headers = {} if content_type is None else {"Content-Type": content_type}
    response = await client.post("/item", data=b"{}", headers=headers)
    error = await error_of(response, 415, "InvalidContentType")

    names = "`application/json`, `application/x-ndjson`, `text/csv`"
    assert error["message"] == f"Invalid content-type. Only {names} are allowed."


@pytest.mark.parametrize("content_type", ["application/json; charset=utf-8", "Application/JSON"])
async def test_parameters_and_case_of_the_content_type_are_fine(
    client: Client, content_type: str
) -> None:
    response = await client.post(
        "/item", data=b'{"name":"ab","email":"a@b.co"}', headers={"Content-Type": content_type}
    )

    assert response.status_code == 201


async def test_a_merge_patch_is_for_patch_alone(client: Client) -> None:
    headers = {"Content-Type": "application/merge-patch+json"}

    await error_of(
        await client.put("/item/1", data=b"{}", headers=headers), 415, "InvalidContentType"
    )


async def test_an_encoded_body_is_a_415(client: Client) -> None:
    response = await client.post(
        "/item", data=b"\x1f\x8b", headers=JSON | {"Content-Encoding": "gzip"}
    )

    await error_of(response, 415, "InvalidContentType")


async def test_a_body_of_http_2_that_says_no_length_is_checked_too(client: Client) -> None:
    headers = {"Content-Type": "text/plain"}
    response = await client.post("/item", http_version="2", headers=headers)

    await error_of(response, 415, "InvalidContentType")


async def test_a_request_without_a_body_needs_no_content_type(client: Client) -> None:
    assert (await client.get("/item")).status_code == 200
    assert (await client.get("/item", headers={"Content-Type": "text/plain"})).status_code == 200

    await error_of(await client.post("/item"), 400, "InvalidAPIRequest")


@pytest.mark.error("400 InvalidAPIRequest")
@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"{'name': 1}",
        b'{"name": "\xff"}',
        b"\xef\xbb\xbf{}",
        b'{"name": NaN}',
        b'{"name": Infinity}',
        b'{"name": -Infinity}',
        b'{"name": 1e400}',
        b'{"name": "a", "name": "b"}',
        b"[" * 65 + b"]" * 65,
        b"[" * 4000 + b"]" * 4000,
        b"   ",
        b"{} {}",
        b"1" * 5000,
    ],
)
async def test_malformed_json_is_a_400(client: Client, body: bytes) -> None:
    error = await error_of(
        await client.post("/item", data=body, headers=JSON), 400, "InvalidAPIRequest"
    )

    assert error["message"].startswith("The request body ")
    assert await (await client.get("/item")).get_json() == []


@pytest.mark.error("413 InvalidAPIRequest")
async def test_a_body_over_the_limit_is_a_413(client: Client) -> None:
    response = await client.post("/item", json=item(name="x" * 20_000))
    error = await error_of(response, 413, "InvalidAPIRequest")

    assert error["message"] == "The request body is larger than 10000 bytes."
    assert "Connection" not in response.headers


@pytest.mark.error("500 InternalError")
async def test_an_unexpected_error_has_no_details(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    app = create_app(settings)

    @app.get("/broken")
    async def broken() -> dict[str, Any]:
        raise RuntimeError("a secret")

    response = await app.test_client().get("/broken", headers={"X-Request-ID": "here"})
    error = await error_of(response, 500, "InternalError")

    assert "secret" not in str(error)
    assert "a secret" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("error", "type_", "headers"),
    [
        (Unauthorized(www_authenticate=BASIC), "InvalidAPIRequest", {"WWW-Authenticate": "Basic"}),
        (
            Unauthorized(www_authenticate=[BASIC, WWWAuthenticate("bearer")]),
            "InvalidAPIRequest",
            {"WWW-Authenticate": "Basic, Bearer"},
        ),
        (Teapot(), "InvalidAPIRequest", {}),
        (Many(retry_after=30), "TooManyRequests", {"Retry-After": "30"}),
        (NotImplemented501(), "InternalError", {}),
        (ServiceUnavailable(retry_after=30), "Unavailable", {"Retry-After": "30"}),
        (GatewayTimeout(), "DeadlineExceeded", {}),
    ],
)
def test_an_exception_of_werkzeug_keeps_its_status_and_headers(
    error: HTTPException, type_: str, headers: dict[str, str]
) -> None:
    found = to_json_exception(error)

    assert found.to_dict() == {"code": error.code, "type": type_, "message": error.description}
    assert found.response_headers == headers


@pytest.mark.parametrize(
    ("fault", "status", "type_"),
    [
        (RuntimeError("a secret"), 500, "InternalError"),
        (asyncpg.InternalClientError("a secret"), 503, "DatabaseError"),
        (PoolTimeoutError("a secret"), 503, "Unavailable"),
    ],
)
async def test_a_hook_that_fails_behind_the_view_has_the_envelope_too(
    settings: Settings, fault: Exception, status: int, type_: str
) -> None:
    app = create_app(settings)

    async def fail(response: Response) -> Response:
        raise fault

    # First in the list, it runs last.
    app.after_request_funcs[None].insert(0, fail)
    error = await error_of(await app.test_client().get("/livez"), status, type_)

    assert "secret" not in str(error)


@pytest.mark.limit("REQUEST_SECONDS")
async def test_a_view_that_returns_in_time_is_answered(settings: Settings) -> None:
    seconds = limits.REQUEST_SECONDS.value
    app = create_app(settings.model_copy(update={"request_timeout": seconds}))
    begun, goes_on = asyncio.Event(), asyncio.Event()

    @app.get("/slow")
    async def slow() -> dict[str, Any]:
        begun.set()
        await goes_on.wait()
        return {"deadline": g.limit.when() == g.deadline}

    exchange = Exchange(app, "/slow")
    answered = asyncio.create_task(exchange.run(part()))
    await begun.wait()
    goes_on.set()
    await answered

    assert (exchange.status, exchange.body) == (200, b'{"deadline":true}')


@pytest.mark.error("504 DeadlineExceeded")
@pytest.mark.limit("REQUEST_SECONDS")
async def test_a_view_that_never_returns_is_a_504(settings: Settings) -> None:
    app = create_app(settings.model_copy(update={"request_timeout": 0.05}))

    @app.get("/endless")
    async def endless() -> dict[str, Any]:
        await app.extensions["never"].wait()
        return {}

    app.extensions["never"] = app.event_class()
    with counted("REQUEST_SECONDS"):
        error = await error_of(await app.test_client().get("/endless"), 504, "DeadlineExceeded")

    assert error["message"] == "The request took longer than 0.05 s."


@pytest.mark.parametrize("raised", [TimeoutError, ConnectionRefusedError])
async def test_an_error_of_the_view_itself_is_not_taken_for_the_databases(
    raised: type[Exception],
) -> None:
    app = create_app(Settings(database_url=None))

    @app.get("/other-service")
    async def ask_other_service() -> dict[str, Any]:
        raise raised

    error = await error_of(await app.test_client().get("/other-service"), 500, "InternalError")

    assert error["message"] == (
        "The service failed to answer. The log has the cause under this request id."
    )


ORDER: list[tuple[int, dict[str, Any]]] = [
    (401, {"path": "/nope", "method": "FOO", "headers": {"X-API-Key": "wrong"}}),
    (404, {"path": "/nope", "method": "POST", "data": b"x" * 20_000}),
    (405, {"path": "/item", "method": "PUT", "data": b"x" * 20_000}),
    (415, {"path": "/item?no=1", "method": "POST", "data": b"x" * 20_000}),
    (413, {"path": "/item?no=1", "method": "POST", "data": b"x" * 20_000, "headers": JSON}),
    (400, {"path": "/item?no=1", "method": "POST", "data": b"x", "headers": JSON}),
    (422, {"path": "/item/99", "method": "PUT", "data": b"[]", "headers": JSON}),
    (
        404,
        {"path": "/item/99", "method": "PUT", "data": b"{}", "headers": JSON | {"If-Match": '"1"'}},
    ),
]


@pytest.mark.parametrize(("status", "request_"), ORDER)
async def test_the_checks_have_an_order(
    settings: Settings, empty_database: None, status: int, request_: dict[str, Any]
) -> None:
    key = "k" * 16
    app = create_app(
        settings.model_copy(update={"secure_api_key": Settings(secure_api_key=key).secure_api_key})
    )
    headers = {"X-API-Key": key} | request_.get("headers", {})
    async with app.test_app():
        response = await app.test_client().open(**request_ | {"headers": headers})

    assert response.status_code == status
