"""Problem details (RFC 9457) for clients that prefer them, with the facts of the envelope."""

from typing import Any

import pytest
from quart import Quart
from werkzeug.datastructures import Headers

from service.common.contract.validation import load_schemas
from service.common.errors import error_rows
from service.common.middleware.problems import prefers_problem
from tests.client import Client

PROBLEM = "application/problem+json"
JSON = "application/json"


async def answer(client: Client, accept: str | None, path: str = "/item/99") -> tuple[str, Any]:
    headers = {} if accept is None else {"Accept": accept}
    response = await client.get(path, headers=headers)
    return response.headers["Content-Type"], await response.get_json()


@pytest.mark.parametrize(
    "accept",
    [
        PROBLEM,
        "Application/Problem+JSON",
        f"{PROBLEM}, {JSON};q=0.9",
        f"{JSON};q=0.2, {PROBLEM};q=0.3",
        f"{PROBLEM};q=0.5, */*;q=0.1",
        f"text/html, {PROBLEM};q=0.1",
        f"{JSON};q=0, {PROBLEM};q=0.001",
    ],
)
async def test_a_client_that_prefers_problem_details_gets_them(client: Client, accept: str) -> None:
    media_type, problem = await answer(client, accept)

    assert media_type == PROBLEM
    assert load_schemas()["common/problem.json"].faults(problem) == []


@pytest.mark.parametrize(
    "accept",
    [
        None,
        "",
        "*/*",
        "application/*",
        JSON,
        "text/html",
        "nonsense",
        ";;q=,",
        f"{JSON}, {PROBLEM}",
        f"{PROBLEM};q=0",
        f"{PROBLEM};q=0, */*",
        f"{PROBLEM};q=0.5, */*",
        f"{PROBLEM};q=0.2, {JSON};q=0.3",
        "application/problem+xml",
    ],
)
async def test_any_other_client_gets_the_envelope(client: Client, accept: str | None) -> None:
    media_type, body = await answer(client, accept)

    assert media_type == JSON
    assert body["error"]["code"] == 404


@pytest.mark.parametrize(
    ("lines", "media_type"),
    [
        (["text/html", PROBLEM], PROBLEM),
        ([f"{JSON};q=0", PROBLEM], PROBLEM),
        ([f"{PROBLEM};q=0.2", JSON], JSON),
    ],
)
async def test_several_lines_are_one_list(app: Quart, lines: list[str], media_type: str) -> None:
    headers = Headers([("Accept", line) for line in lines])
    async with app.test_request_context("/item/99", headers=headers):
        assert prefers_problem() == (media_type == PROBLEM)


async def test_both_have_the_same_facts(client: Client) -> None:
    headers = {"X-Request-ID": "me"}
    json = {"name": "x", "email": 1}
    envelope = await client.post("/item", json=json, headers=headers)
    problem = await client.post("/item", json=json, headers=headers | {"Accept": PROBLEM})
    error, found = (await envelope.get_json())["error"], await problem.get_json()

    assert problem.status_code == envelope.status_code == 422
    assert problem.headers["Content-Type"] == PROBLEM
    assert found == {
        "type": "/docs/errors#InvalidAPIRequest",
        "title": "The request is malformed, invalid, or for an unknown URL",
        "status": 422,
        "detail": "; ".join(error["message"]),
        "instance": "/item",
        "errors": error["errors"],
        "request_id": "me",
    }


async def test_the_instance_is_the_requested_path(client: Client) -> None:
    _, problem = await answer(client, PROBLEM, "/fo%20ss/%C3%BC?x=1")

    assert problem["instance"] == "/fo%20ss/%C3%BC"
    assert problem["detail"].startswith("The requested URL")


async def test_an_error_says_that_accept_matters(client: Client) -> None:
    for accept in (PROBLEM, JSON):
        response = await client.get("/item/99", headers={"Accept": accept})

        assert "Accept" in response.headers["Vary"].split(", ")


async def test_the_links_of_a_problem_resolve(client: Client) -> None:
    page = await (await client.get("/docs/errors")).get_data(as_text=True)
    rows = error_rows()

    assert {"RecordNotFound", "InvalidAPIRequest"} <= {row.type for row in rows}
    for row in rows:
        assert f'id="{row.type}"' in page


async def test_no_error_is_a_406(client: Client) -> None:
    response = await client.get("/item", headers={"Accept": "image/png"})

    assert response.status_code == 200
