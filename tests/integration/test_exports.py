"""The collection as lines: NDJSON and CSV."""

import csv
import io
import json
from contextlib import AsyncExitStack
from typing import Any, cast

import pytest
from quart.wrappers import Response
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from service import limits
from service.client import CLIENT
from service.common.bulk import exports, forms, stream_records
from service.common.bulk.forms import Ndjson
from service.common.database import Work
from service.common.errors import SHARE, InvalidAPIRequest
from service.common.web import App
from service.limits import client_share
from tests.blueprints.note.backend import NOTE
from tests.blueprints.note.payloads import ListNote
from tests.client import Client
from tests.counted import counted
from tests.envelope import error_of
from tests.factories import item
from tests.integration.test_collection import fill, links

NDJSON = {"Accept": "application/x-ndjson"}
CSV = {"Accept": "text/csv"}
FIELDS = ["id", "name", "email", "created_at", "updated_at"]
# Characters that could break a line, a cell or a JSON text.
HARD = [
    'a "quoted" name',
    "commas, and\ttabs",
    "two\r\nlines",
    "back\\slash \\n \\u0041",
    "control \x01\x1f\x7f characters",
    "Grüße, 数据库, 🐘",
    "   spaces   ",
    "line \u2028 and paragraph \u2029 ends",
    "''",
    '""',
]


async def ndjson(client: Client, url: str = "/item") -> list[dict[str, Any]]:
    body = cast("bytes", await (await client.get(url, headers=NDJSON)).get_data())
    # Not by `splitlines`, which takes more for an end of a line than NDJSON does.
    return [json.loads(line) for line in body.decode().split("\n")[:-1]]


async def rows(client: Client, url: str = "/item", accept: str = "text/csv") -> list[list[str]]:
    body = cast("bytes", await (await client.get(url, headers={"Accept": accept})).get_data())
    return [*csv.reader(io.StringIO(body.decode(), newline=""), strict=True)]


async def test_ndjson_has_the_records_as_a_page_has_them(client: Client) -> None:
    for name in HARD:
        await client.post("/item", json=item(name=name))
    response = await client.get("/item", headers=NDJSON)

    assert response.content_type == "application/x-ndjson"
    assert await ndjson(client) == await (await client.get("/item")).get_json()


async def test_csv_has_the_records_as_a_page_has_them(client: Client) -> None:
    for name in HARD:
        await client.post("/item", json=item(name=name))
    response = await client.get("/item", headers=CSV)
    head, *found = await rows(client)
    page = await (await client.get("/item")).get_json()

    assert response.content_type == "text/csv; charset=utf-8"
    assert head == FIELDS
    assert found == [[str(record[name]) for name in FIELDS] for record in page]


async def test_an_empty_collection_has_no_line_but_the_head(client: Client) -> None:
    assert await ndjson(client) == []
    assert await rows(client) == [FIELDS]


async def test_all_records_come_unless_a_limit_is_given(
    client: Client, engine: AsyncEngine
) -> None:
    await fill(client, 2)
    async with engine.begin() as connection:
        statement = "INSERT INTO item (name, email) SELECT 'of many', n || '@example.org' FROM"
        await connection.execute(text(f"{statement} generate_series(1, 2500) AS n"))

    assert [record["id"] for record in await ndjson(client)] == [*range(1, 2503)]
    assert len(await ndjson(client, "/item?limit=201")) == 201
    assert len(await rows(client, "/item?limit=2")) == 3


async def test_lines_take_the_parameters_of_a_page(client: Client) -> None:
    for name in ("Ada", "Bob", "Cleo"):
        await client.post("/item", json={"name": name, "email": f"{name}@example.org"})
    sorted_ = await rows(client, "/item?sort=-name&only=name,id&q=b")
    excluded = await ndjson(client, "/item?exclude=created_at,updated_at&email=Ada@example.org")

    nothing = await client.get("/item?exclude=" + ",".join(FIELDS), headers=CSV)

    assert sorted_ == [["id", "name"], ["2", "Bob"]]
    assert (nothing.status_code, await nothing.get_data()) == (200, b"\r\n" * 4)
    assert excluded == [{"id": 1, "name": "Ada", "email": "Ada@example.org"}]


@pytest.mark.parametrize(
    "query", ["sort=-id", "sort=-id&name=Ada", "sort=-name", "name=Ada&sort=-name"]
)
async def test_lines_begin_at_a_cursor(client: Client, query: str) -> None:
    await client.post("/item", json={"name": "Bob", "email": "bob@example.org"})
    for number in range(6):
        await client.post("/item", json={"name": "Ada", "email": f"ada{number}@example.org"})
    first = await client.get(f"/item?limit=2&{query}")
    second = await client.get(links(first)["next"])
    third = await client.get(links(second)["next"])

    for response, url in ((second, links(first)["next"]), (second, links(third)["prev"])):
        assert await ndjson(client, url) == await response.get_json()
    whole = links(third)["prev"].replace("limit=2&", "").replace("&limit=2", "")
    assert await ndjson(client, whole) == [*await first.get_json(), *await second.get_json()]


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        ("*/*", "application/json"),
        ("application/json", "application/json"),
        ("application/x-ndjson, application/json", "application/json"),
        ("application/x-ndjson, */*", "application/x-ndjson"),
        ("application/json;q=0.5, application/x-ndjson", "application/x-ndjson"),
        ("TEXT/CSV", "text/csv; charset=utf-8"),
        ("text/csv;charset=UTF-8", "text/csv; charset=utf-8"),
        ("text/csv; header=present; charset=utf-8", "text/csv; charset=utf-8"),
        ("text/csv; header=absent", "application/json"),
        ("text/csv;q=0", "application/json"),
        ("text/csv; escape=formula", "text/csv; charset=utf-8"),
        ("text/csv; escape=none", "application/json"),
        ("image/png", "application/json"),
        ("text/csv;;;,,;q=x", "text/csv; charset=utf-8"),
    ],
)
async def test_the_client_chooses_the_form(client: Client, accept: str, media_type: str) -> None:
    response = await client.get("/item", headers={"Accept": accept})

    assert response.content_type == media_type
    assert "Accept" in response.headers["Vary"]


async def test_a_cell_is_escaped_for_spreadsheets_on_request_alone(client: Client) -> None:
    names = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\uff1d1", "1=1", "'=1"]
    for name in names:
        await client.post("/item", json=item(name=f"{name}0"))
    exact = [name for [name] in (await rows(client, "/item?only=name"))[1:]]
    escaped = await rows(client, "/item?only=name", "text/csv; escape=formula")

    assert exact == [f"{name}0" for name in names]
    assert [name for [name] in escaped[1:]] == [f"'{name}" for name in exact[:7]] + exact[7:]


async def test_only_the_form_for_spreadsheets_begins_with_a_byte_order_mark(
    client: Client,
) -> None:
    for expected, accept in ((True, "text/csv; escape=formula"), (False, "text/csv")):
        for _ in range(2):  # Without a record, and with one.
            response = await client.get("/item?only=name", headers={"Accept": accept})
            body = cast("bytes", await response.get_data())
            await client.post("/item", json=item(name="Gr\u00fc\u00dfe"))

            assert body.startswith(b"\xef\xbb\xbfname\r\n" if expected else b"name\r\n")
            assert body.count(b"\xef\xbb\xbf") == expected


async def test_head_has_the_headers_alone(client: Client) -> None:
    await fill(client, 1)
    head = await client.head("/item", headers=CSV)

    assert head.content_type == "text/csv; charset=utf-8"
    assert await head.get_data() == b""


@pytest.mark.parametrize("accept", ["application/x-ndjson", "text/csv"])
async def test_a_failure_before_the_first_line_is_an_error_response(
    client: Client, engine: AsyncEngine, accept: str
) -> None:
    invalid = await client.get("/item?sort=id,-id", headers={"Accept": accept})
    async with engine.begin() as connection:
        await connection.execute(text("ALTER TABLE item RENAME TO away"))
    try:
        failed = await client.get("/item", headers={"Accept": accept})
    finally:
        async with engine.begin() as connection:
            await connection.execute(text("ALTER TABLE away RENAME TO item"))

    fault = await error_of(invalid, 422, "InvalidAPIRequest")
    assert fault["errors"][0]["pointer"] == "/sort"
    await error_of(failed, 503, "DatabaseError")


@pytest.mark.limit("BULK_TRANSFERS", "CLIENT_SHARE")
async def test_a_client_exports_with_its_share_of_the_connections_and_all_with_all(
    app: App, client: Client
) -> None:
    async def export(peer: str) -> Response:
        return await client.get("/item", headers=NDJSON, scope_base={"client": (peer, 1)})

    pool = app.database.pools()[Work.BULK]
    most = limits.BULK_TRANSFERS.value
    async with AsyncExitStack() as taken:
        for _ in range(client_share(most)):
            CLIENT.set("192.0.2.1")
            session = await taken.enter_async_context(app.database.bulk())
            await session.connection()
        with counted("CLIENT_SHARE"):
            beyond_share = await export("192.0.2.1")
        others = await export("192.0.2.2")
        for number in range(client_share(most), most):
            CLIENT.set(f"192.0.2.1{number}")
            session = await taken.enter_async_context(app.database.bulk())
            await session.connection()
        with counted("POOL_WAIT_SECONDS"):
            refused = await export("192.0.2.2")
        page = await client.get("/item")

    error = await error_of(beyond_share, 503, "Unavailable")
    assert error["message"] == SHARE
    assert beyond_share.headers["Retry-After"] == "1"
    assert others.status_code == page.status_code == 200
    error = await error_of(refused, 503, "Unavailable")
    assert error["message"] != SHARE
    assert await ndjson(client) == []
    assert pool.places.free == most


async def test_an_export_without_a_connection_costs_no_statement(
    app: App, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forms, "reading", None)
    async with AsyncExitStack() as taken:
        CLIENT.set("192.0.2.1")
        for _ in range(client_share(limits.BULK_TRANSFERS.value)):
            session = await taken.enter_async_context(app.database.bulk())
            await session.connection()
        refused = await client.get("/item", headers=NDJSON, scope_base={"client": ("192.0.2.1", 1)})

    await error_of(refused, 503, "Unavailable")


async def test_an_export_includes_no_other_records() -> None:
    with pytest.raises(InvalidAPIRequest) as caught:
        stream_records(AsyncSession(), NOTE, ListNote(include=("account",)), Ndjson())

    [fault] = caught.value.faults
    assert (caught.value.code, fault.pointer) == (422, "/include")
    assert "leave out 'include'" in fault.message


def test_a_view_without_a_query_has_no_exports() -> None:
    async def list_all() -> None:
        """Take no query."""

    with pytest.raises(TypeError, match="`list_all` has no argument `query`"):
        exports(lambda *_: None)(list_all)  # type: ignore[arg-type]  # Never called.
