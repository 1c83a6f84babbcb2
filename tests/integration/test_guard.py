"""The guard."""

from collections.abc import AsyncIterator
from typing import cast

import pytest
from pydantic import SecretStr
from quart import Quart
from quart.testing import QuartClient

import service
from service.common.web import public
from service.settings import Settings
from tests.app import create_app
from tests.client import Client
from tests.envelope import error_of

KEY = "correct-horse-ü"


@pytest.fixture
async def guarded(settings: Settings, empty_database: None) -> AsyncIterator[Client]:
    app = create_app(settings.model_copy(update={"secure_api_key": SecretStr(KEY)}))
    async with app.test_app():
        yield cast("Client", app.test_client())


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": f"Bearer {KEY}"},
        {"Authorization": f"bearer   {KEY}"},
        {"X-API-Key": KEY},
        {"_secure_key": KEY},
        {"Authorization": "Basic eDp5", "X-API-Key": KEY},
    ],
)
async def test_the_key_opens(guarded: Client, headers: dict[str, str]) -> None:
    assert (await guarded.get("/item", headers=headers)).status_code == 200


def test_the_paths_that_need_no_key_are_these() -> None:
    paths = service.create_app(Settings()).public_paths
    assets = {path for path in paths if path.startswith("/docs/")}

    assert paths - assets == {"/livez", "/readyz", "/openapi.json", "/docs"}
    assert "/docs/errors" in assets


async def test_a_public_view_opens_neither_other_methods_nor_only_fixed_paths(
    settings: Settings,
) -> None:
    @public
    async def read(**_: object) -> str:
        return ""

    async def write() -> str:
        return ""

    app = create_app(settings.model_copy(update={"secure_api_key": SecretStr(KEY)}))
    app.add_url_rule("/news", view_func=read, methods=["GET"])
    app.add_url_rule("/news/<id:id>", "one", read, methods=["GET"])
    app.add_url_rule("/news", view_func=write, methods=["POST"])
    # Not the client that holds responses against the contract, which lacks these.
    client = QuartClient(app)
    answers = [await client.get("/news"), await client.get("/news/1"), await client.post("/news")]

    assert [answer.status_code for answer in answers] == [200, 200, 401]


@pytest.mark.error("401 InvalidPermissions")
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": KEY},
        {"Authorization": f"Basic {KEY}"},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer "},
        {"X-API-Key": ""},
        {"X-API-Key": "wrong"},
        {"X-API-Key": KEY + "x"},
        {"X-API-Key": KEY[:-1]},
        {"_secure_key": "wrong"},
    ],
)
@pytest.mark.parametrize("path", ["/item", "/item/1", "/nope", "/livez/", "/Livez"])
async def test_without_the_key_nothing_opens(
    guarded: Client, path: str, headers: dict[str, str]
) -> None:
    response = await guarded.get(path, headers=headers)
    error = await error_of(response, 401, "InvalidPermissions")

    assert response.headers["WWW-Authenticate"] == "Bearer"
    assert error["message"] == (
        "The key is missing or wrong: send `Authorization: Bearer KEY` or `X-API-Key: KEY`."
    )


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/openapi.json"])
async def test_the_public_routes_need_no_key(guarded: Client, path: str) -> None:
    assert (await guarded.get(path)).status_code == 200


async def test_a_preflight_needs_no_key(guarded: Client) -> None:
    headers = {"Origin": "http://localhost:8080", "Access-Control-Request-Method": "PUT"}

    assert (await guarded.options("/item/1", headers=headers)).status_code == 204
    assert (await guarded.options("/item/1")).status_code == 401


async def test_without_a_configured_key_all_is_open(app: Quart, client: Client) -> None:
    assert (await client.get("/item")).status_code == 200
