"""The collection, page by page."""

import pytest

from tests.client import Client
from tests.envelope import error_of
from tests.factories import foss

LINK = '</foss?{}>; rel="next"'


async def fill(client: Client, count: int) -> None:
    for _ in range(count):
        assert (await client.post("/foss", json=foss())).status_code == 201


async def test_the_list_is_an_array_in_the_order_of_the_ids(client: Client) -> None:
    assert await (await client.get("/foss")).get_json() == []
    await fill(client, 3)
    response = await client.get("/foss")

    assert [record["id"] for record in await response.get_json()] == [1, 2, 3]
    assert "Link" not in response.headers


async def test_pages_follow_each_other_until_the_last(client: Client) -> None:
    await fill(client, 5)
    url, pages = "/foss?limit=2", []
    while url:
        response = await client.get(url)
        pages.append([record["id"] for record in await response.get_json()])
        link = response.headers.get("Link", "")
        url = link.partition(">")[0].removeprefix("<")

    assert pages == [[1, 2], [3, 4], [5]]


async def test_a_page_that_is_full_by_chance_has_no_next(client: Client) -> None:
    await fill(client, 2)

    assert "Link" not in (await client.get("/foss?limit=2")).headers


async def test_a_deleted_record_does_not_disturb_the_pages(client: Client) -> None:
    await fill(client, 4)
    first = await client.get("/foss?limit=2")
    await client.delete("/foss/2")
    url = first.headers["Link"].partition(">")[0].removeprefix("<")

    assert [record["id"] for record in await (await client.get(url)).get_json()] == [3, 4]


@pytest.mark.parametrize(
    ("limit", "count"), [("1", 1), ("007", 7), ("999999999", 200), ("201", 200)]
)
async def test_a_limit_is_read_as_at_most_200(client: Client, limit: str, count: int) -> None:
    await fill(client, 201)
    response = await client.get(f"/foss?limit={limit}")

    assert len(await response.get_json()) == count


async def test_the_default_limit_is_50(client: Client) -> None:
    await fill(client, 51)

    assert len(await (await client.get("/foss")).get_json()) == 50


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=-1",
        "limit=000",
        "limit=1.0",
        "limit=1e2",
        "limit=+5",
        "limit=",
        "limit=1000000000",
        "limit=0000000001",
        "limit=%D9%A3",
        "limit=1&limit=2",
        "after=",
        "after=nope",
        "after=eyJpZCI6IDd9=",
        "after=eyJpZCI6IHRydWV9",
        "after=%00",
        "after=%ff",
        "offset=1",
        "%00=1",
        "limit",
    ],
)
async def test_a_faulty_query_string_is_refused(client: Client, query: str) -> None:
    error = await error_of(await client.get(f"/foss?{query}"), 422, "InvalidAPIRequest")

    assert len(error["errors"]) >= 1


@pytest.mark.parametrize(
    ("method", "url"), [("POST", "/foss"), ("PUT", "/foss/1"), ("DELETE", "/foss/1")]
)
async def test_a_route_without_parameters_refuses_them(
    client: Client, method: str, url: str
) -> None:
    await fill(client, 1)
    json = foss() if method != "DELETE" else None
    response = await client.open(f"{url}?dry_run=1", method=method, json=json)
    error = await error_of(response, 422, "InvalidAPIRequest")

    assert error["message"] == ["There are no parameters here, but 'dry_run' came"]
    assert len(await (await client.get("/foss")).get_json()) == 1
