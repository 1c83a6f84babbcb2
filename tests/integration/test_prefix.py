"""A service that a proxy publishes below a path prefix."""

import re
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urljoin

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator
from pydantic import SecretStr
from quart.testing import QuartClient
from quart.wrappers import Response

from service.settings import Settings
from tests.app import create_app
from tests.factories import item

KEY = {"X-API-Key": "k" * 16}


@pytest.fixture(params=["/api", "/Team-1/v1.2", "/item"])
def prefix(request: pytest.FixtureRequest) -> str:
    """Return a prefix; the last one is the name of a route too."""
    return str(request.param)


@pytest.fixture
async def client(
    settings: Settings, empty_database: None, prefix: str
) -> AsyncIterator[QuartClient]:
    """Return a client whose answers are not held against the contract, which has no prefix."""
    changes = {"path_prefix": prefix, "secure_api_key": SecretStr(KEY["X-API-Key"])}
    app = create_app(settings.model_copy(update=changes))
    async with app.test_app():
        yield QuartClient(app)


async def get(client: QuartClient, path: str, **headers: str) -> Response:
    return await client.get(path, headers=KEY | headers)


async def test_the_urls_that_are_handed_out_have_the_prefix_and_work(
    client: QuartClient, prefix: str
) -> None:
    created = [await client.post("/item", json=item(), headers=KEY) for _ in range(3)]
    location = created[0].headers["Location"]
    page = await get(client, "/item?limit=2")
    [link] = re.findall("<(.*?)>", page.headers["Link"])

    assert location == f"{prefix}/item/1"
    assert link.startswith(f"{prefix}/item?limit=2&after=")
    # As passed on by a proxy that strips the prefix, and unchanged.
    for strip in (len(prefix), 0):
        assert (await get(client, location[strip:])).status_code == 200
        second = await (await get(client, link[strip:])).get_json()
        assert [record["id"] for record in second] == [3]


async def test_a_replayed_answer_has_the_prefix_once(client: QuartClient, prefix: str) -> None:
    record, headers = item(), {**KEY, "Idempotency-Key": "one"}
    answers = [await client.post("/item", json=record, headers=headers) for _ in range(2)]

    assert answers[1].headers["Idempotency-Replayed"] == "true"
    assert {answer.headers["Location"] for answer in answers} == {f"{prefix}/item/1"}


@pytest.mark.parametrize("stripped", [True, False])
async def test_a_problem_refers_to_what_is_below_the_prefix(
    client: QuartClient, prefix: str, *, stripped: bool
) -> None:
    path = "/item/99" if stripped else f"{prefix}/item/99"
    response = await get(client, path, Accept="application/problem+json")
    problem = await response.get_json()

    assert problem["type"] == f"{prefix}/docs/errors#RecordNotFound"
    assert problem["instance"] == f"{prefix}/item/99"
    assert (await client.get(problem["type"].partition("#")[0])).status_code == 200


async def test_the_contract_is_right_below_the_prefix(client: QuartClient, prefix: str) -> None:
    document: Any = await (await client.get(f"{prefix}/openapi.json")).get_json()
    [server] = document["servers"]
    location = document["paths"]["/item"]["post"]["responses"]["201"]["headers"]["Location"]
    type_ = document["components"]["schemas"]["Problem"]["properties"]["type"]
    base = urljoin(f"https://example.org{prefix}/openapi.json", server["url"])

    assert base.rstrip("/") == f"https://example.org{prefix}"
    assert urljoin("https://example.org/openapi.json", server["url"]) == "https://example.org/"
    assert re.search(location["schema"]["pattern"], f"{prefix}/item/7")
    assert not re.search(location["schema"]["pattern"], "/x/item/7")
    assert re.search(type_["pattern"], f"{prefix}/docs/errors#RecordNotFound")
    assert document["paths"].keys() >= {"/item", "/item/{id}", "/livez"}
    assert list(OpenAPIV31SpecValidator(document).iter_errors()) == []


@pytest.mark.parametrize("path", ["/docs", "/docs/init.js", "/docs/errors", "/livez", "/readyz"])
async def test_public_pages_are_public_below_the_prefix(
    client: QuartClient, prefix: str, path: str
) -> None:
    for each in (path, prefix + path):
        assert (await client.get(each)).status_code == 200


@pytest.mark.parametrize(
    "path", ["/", "//item", "/%2Fitem", "{0}/item", "/../item", "item", "/nope"]
)
async def test_the_prefix_opens_nothing_else(client: QuartClient, prefix: str, path: str) -> None:
    """Nor does it let anybody past the guard."""
    guarded = await client.get(f"{prefix}/item/1")
    response = await get(client, prefix + path.format(prefix))

    assert guarded.status_code == 401
    assert response.status_code == 404


@pytest.mark.parametrize(
    "name", ["X-Forwarded-Prefix", "X-Script-Name", "X-Forwarded-Path", "Forwarded"]
)
async def test_no_header_changes_the_prefix(client: QuartClient, prefix: str, name: str) -> None:
    headers = {**KEY, name: "/evil", "X-Forwarded-Host": "evil.example"}
    created = await client.post("/item", json=item(), headers=headers)

    assert created.headers["Location"] == f"{prefix}/item/1"
