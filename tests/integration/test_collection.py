"""The collection, page by page."""

import re
from urllib.parse import urlencode

import pytest
from quart.wrappers import Response
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from service.common.resource.collection import _page
from service.common.web import App
from tests.client import Client
from tests.envelope import error_of
from tests.factories import item
from tests.integration.sent import statements


def links(response: Response) -> dict[str, str]:
    """Return the URLs of a `Link` header by their relation."""
    found = re.findall(r'<([^>]+)>; rel="([a-z]+)"', response.headers.get("Link", ""))
    return {relation: url for url, relation in found}


async def fill(client: Client, count: int) -> None:
    for _ in range(count):
        assert (await client.post("/item", json=item())).status_code == 201


async def test_the_list_is_an_array_in_the_order_of_the_ids(client: Client) -> None:
    assert await (await client.get("/item")).get_json() == []
    await fill(client, 3)
    response = await client.get("/item")

    assert [record["id"] for record in await response.get_json()] == [1, 2, 3]
    assert "Link" not in response.headers


async def test_pages_follow_each_other_until_the_last(client: Client) -> None:
    await fill(client, 5)
    url: str | None = "/item?limit=2"
    pages = []
    while url:
        response = await client.get(url)
        pages.append([record["id"] for record in await response.get_json()])
        url = links(response).get("next")

    assert pages == [[1, 2], [3, 4], [5]]


@pytest.mark.parametrize("query", ["sort=-created_at,name", "name=Same", "name=Same&sort=-id"])
async def test_the_statement_of_later_pages_is_built_once(client: Client, query: str) -> None:
    for _ in range(5):
        assert (await client.post("/item", json=item() | {"name": "Same"})).status_code == 201
    url, built = f"/item?limit=1&{query}", []
    while url:
        response = await client.get(url)
        built.append(_page.cache_info().misses)
        url = links(response).get("next", "")
    other = query.replace("Same", "Other")
    await client.get(f"/item?limit=1&{other}")
    built.append(_page.cache_info().misses)

    # The first page has another one.
    assert built[1:] == [built[1]] * 5


async def test_pages_lead_back_to_the_first(client: Client) -> None:
    await fill(client, 5)
    first = await client.get("/item?limit=2&sort=-name")
    second = await client.get(links(first)["next"])
    third = await client.get(links(second)["next"])
    back = await client.get(links(third)["prev"])
    start = await client.get(links(back)["prev"])

    assert "prev" not in links(first)
    assert "next" not in links(third)
    assert await back.get_json() == await second.get_json()
    assert await start.get_json() == await first.get_json()
    assert "prev" not in links(start)
    assert links(start)["next"] == links(first)["next"]
    assert links(third)["first"] == "/item?limit=2&sort=-name"
    assert await (await client.get(links(third)["first"])).get_json() == await first.get_json()


async def test_links_keep_the_other_parameters(client: Client) -> None:
    await fill(client, 3)
    response = await client.get("/item?limit=1&q=exam%70le&only=id,name&sort=name")
    url = links(response)["next"]

    assert url.startswith("/item?limit=1&q=example&only=id%2Cname&sort=name&after=")
    assert (await (await client.get(url)).get_json())[0].keys() == {"id", "name"}


async def test_behind_the_last_record_there_is_nothing_but_the_way_to_the_first(
    client: Client,
) -> None:
    await fill(client, 2)
    url = links(await client.get("/item?limit=1"))["next"]
    await client.delete("/item/2")
    response = await client.get(url)

    assert await response.get_json() == []
    assert links(response) == {"first": "/item?limit=1"}


async def test_a_page_that_is_full_by_chance_has_no_next(client: Client) -> None:
    await fill(client, 2)

    assert "Link" not in (await client.get("/item?limit=2")).headers


async def test_a_deleted_record_does_not_disturb_the_pages(client: Client) -> None:
    await fill(client, 4)
    first = await client.get("/item?limit=2")
    await client.delete("/item/2")
    url = links(first)["next"]

    assert [record["id"] for record in await (await client.get(url)).get_json()] == [3, 4]


@pytest.mark.limit("PAGE_RECORDS")
@pytest.mark.parametrize(
    ("limit", "count"), [("1", 1), ("007", 7), ("999999999", 200), ("200", 200), ("201", 200)]
)
async def test_a_limit_is_read_as_at_most_200(client: Client, limit: str, count: int) -> None:
    await fill(client, 201)
    response = await client.get(f"/item?limit={limit}")

    assert len(await response.get_json()) == count


async def test_the_default_limit_is_50(client: Client) -> None:
    await fill(client, 51)

    assert len(await (await client.get("/item")).get_json()) == 50


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
        "sort=",
        "sort=nope",
        "sort=name,",
        "sort=+name",
        "sort=--name",
        "sort=version",
        "sort=name,name",
        "sort=name,-name",
        "sort=name&sort=id",
        "name=",
        "email=",
        "q=",
        "q=%00",
        f"q={'a' * 201}",
        "only=version",
        "only=id&exclude=name",
        "exclude=",
        "offset=1",
        "%00=1",
        "limit",
    ],
)
async def test_a_faulty_query_string_is_refused(client: Client, query: str) -> None:
    error = await error_of(await client.get(f"/item?{query}"), 422, "InvalidAPIRequest")

    assert len(error["errors"]) >= 1


@pytest.mark.parametrize(
    ("method", "url"), [("POST", "/item"), ("PUT", "/item/1"), ("DELETE", "/item/1")]
)
async def test_a_route_without_parameters_refuses_them(
    client: Client, method: str, url: str
) -> None:
    await fill(client, 1)
    json = item() if method != "DELETE" else None
    response = await client.open(f"{url}?dry_run=1", method=method, json=json)
    error = await error_of(response, 422, "InvalidAPIRequest")

    assert error["message"] == ["This URL takes no query parameters: remove 'dry_run'"]
    assert len(await (await client.get("/item")).get_json()) == 1


async def store(client: Client, **values: str) -> int:
    response = await client.post("/item", json=item(**values))
    assert response.status_code == 201
    return int((await response.get_json())["id"])


async def ids(client: Client, query: str) -> list[int]:
    response = await client.get(f"/item?{query}")
    assert response.status_code == 200, await response.get_json()
    return [record["id"] for record in await response.get_json()]


@pytest.mark.parametrize(
    ("sort", "expected"),
    [
        ("id", [1, 2, 3, 4]),
        ("-id", [4, 3, 2, 1]),
        ("name", [2, 4, 1, 3]),
        ("-name", [3, 1, 4, 2]),
        ("-name,id", [1, 3, 2, 4]),
        ("email", [3, 4, 1, 2]),
        ("created_at", [1, 2, 3, 4]),
        ("-updated_at", [4, 3, 2, 1]),
        ("name,-email", [2, 4, 1, 3]),
    ],
)
async def test_the_collection_has_every_order(
    client: Client, sort: str, expected: list[int]
) -> None:
    for name, email in (("Bob", "c@x.org"), ("Ada", "d@x.org"), ("Bob", "a@x.org")):
        await store(client, name=name, email=email)
    await store(client, name="Ada", email="b@x.org")

    assert await ids(client, f"sort={sort}") == expected


async def test_filters_are_exact_and_go_together(client: Client) -> None:
    await store(client, name="Ada", email="ada@x.org")
    await store(client, name="ada", email="Ada@x.org")

    assert await ids(client, "name=Ada") == [1]
    assert await ids(client, "name=Ad") == []
    assert await ids(client, "email=Ada%40x.org") == [2]
    assert await ids(client, "name=Ada&email=Ada%40x.org") == []
    assert await ids(client, "name=Ada&q=X.ORG") == [1]


@pytest.mark.parametrize(
    ("q", "expected"),
    [
        ("a", [1, 2, 3, 4, 5]),
        ("PERCENT", [1]),
        ("100%", [1]),
        ("0%25%20p", [1]),
        ("_", [2]),
        ("under_score", [2]),
        ("r_c", []),
        ("%5C", [3]),
        ("/", [4]),
        ("%C3%BC", [5]),
        ("%C3%9C", [5]),
        ("@x.org", [1, 2, 3, 4, 5]),
        ("%%", []),
        ("'", []),
    ],
)
async def test_a_part_of_name_or_email_finds_a_record(
    client: Client, q: str, expected: list[int]
) -> None:
    for name in ("100% percent", "under_score", "back\\slash", "a/slash", "\u00fcber alles"):
        await store(client, name=name, email=f"a{len(name)}{ord(name[0])}@x.org")

    assert await ids(client, f"q={q.replace('%%', '%25%25').replace('100%', '100%25')}") == expected


SEARCHES = [
    *("Project 17 ", "PROJECT 1", "project", "7 of a", "of abc", "1@example.org", "17@EXAMPLE.ORG"),
    *("p17@example.org", "p1_@example", "example.org", "Project % of", "t 17 o", "- of project"),
    *("    17", "nobody at all", "project 17 of 17"),
]


async def test_a_search_finds_the_same_however_common_its_trigrams_are(
    client: Client, engine: AsyncEngine
) -> None:
    fill = (
        "INSERT INTO item (name, email) SELECT 'Project ' || n || ' of ' || md5(n::text),"
        " 'p' || n || '@example.org' FROM generate_series(1, 200) AS n"
    )
    async with engine.connect() as connection:
        await connection.execution_options(isolation_level="AUTOCOMMIT")
        await connection.execute(text(fill))
        # Only now there is a sample that says what is common.
        await connection.execute(text("ANALYZE item"))
        rows = [*await connection.execute(text("SELECT id, name, email FROM item ORDER BY id"))]
    try:
        for q in SEARCHES:
            found = await ids(client, urlencode({"q": q, "limit": 200}))
            expected = [
                number for number, *texts in rows if any(q.lower() in one.lower() for one in texts)
            ]
            assert found == expected, q
    finally:
        async with engine.begin() as connection:
            await connection.execute(text("TRUNCATE item"))


@pytest.mark.parametrize(
    ("query", "fields"),
    [
        ("only=id", ["id"]),
        ("only=email,id", ["id", "email"]),
        ("exclude=created_at,updated_at", ["id", "name", "email"]),
        ("exclude=id,name,email,created_at", ["updated_at"]),
        ("only=name&sort=-created_at", ["name"]),
    ],
)
async def test_the_client_says_which_fields_it_wants(
    client: Client, query: str, fields: list[str]
) -> None:
    await fill(client, 2)
    page = await (await client.get(f"/item?{query}&limit=1")).get_json()

    assert [list(record) for record in page] == [fields]


async def test_only_the_fields_that_are_wanted_are_read(app: App, client: Client) -> None:
    await fill(client, 2)
    with statements(app) as sent:
        await client.get("/item?only=name")
        await client.get("/item/1?only=name")

    # A read that takes long is restarted.
    assert len({one.sql for one in sent}) == 2
    for statement in sent:
        assert "item.name" in statement.sql
        assert "item.email" not in statement.sql
        assert "item.created_at" not in statement.sql


@pytest.mark.parametrize(("query", "total"), [("", 3), ("limit=1", 3), ("q=Ada", 1), ("q=no", 0)])
async def test_records_are_counted_on_request(client: Client, query: str, total: int) -> None:
    await store(client, name="Ada", email="a@x.org")
    await fill(client, 2)
    counted = await client.get(f"/item?{query}", headers={"Prefer": "count=exact"})
    plain = await client.get(f"/item?{query}")

    assert counted.headers["X-Total-Count"] == str(total)
    assert counted.headers["Preference-Applied"] == "count=exact"
    assert {"X-Total-Count", "Preference-Applied"}.isdisjoint(plain.headers)


async def test_a_cursor_goes_with_its_order_and_its_filters(client: Client) -> None:
    await fill(client, 3)
    url = links(await client.get("/item?limit=1&sort=name&q=x"))["next"]
    cursor = url.partition("after=")[2]

    assert (await client.get(f"/item?sort=name&q=x&after={cursor}")).status_code == 200
    for query in ("sort=name", "q=x", "sort=-name&q=x", "sort=name&q=y", "sort=name&q=x&name=a"):
        error = await error_of(
            await client.get(f"/item?{query}&after={cursor}"), 422, "InvalidAPIRequest"
        )
        assert [fault["pointer"] for fault in error["errors"]] == ["/after"]
