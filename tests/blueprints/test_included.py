"""What refers to other records: nested collections and included records, and their statements."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncEngine

from service.common.database.work import Work
from service.common.web import App
from tests.app import contract_of
from tests.blueprints.account.models import Account
from tests.blueprints.note.backend import NOTE
from tests.blueprints.note.models import Note
from tests.blueprints.note.payloads import ListNote
from tests.client import Client
from tests.envelope import error_of
from tests.integration.sent import statements

ACCOUNTS = 3
NOTES = 60
BEYOND = 10**20


@pytest.fixture
async def client(client: Client, engine: AsyncEngine) -> Client:
    """Return a client of a service with accounts, of which the last has no notes, and notes."""
    async with engine.begin() as connection:
        accounts = [{"owner": f"Owner {one}", "balance": one} for one in range(1, ACCOUNTS + 1)]
        await connection.execute(insert(Account), accounts)
        notes = [
            {
                "account_id": 1 + number % 2,
                "witness_id": None if number % 3 else 2,
                "origin_id": None if number < 5 else 1,
                "text": f"text {number}",
            }
            for number in range(NOTES)
        ]
        await connection.execute(insert(Note), notes)
    return client


async def read(client: Client, url: str) -> Any:
    response = await client.get(url)
    assert response.status_code == 200, await response.get_data()
    return await response.get_json()


async def walk(client: Client, url: str) -> list[Any]:
    """Return the records of every page, whose links must be to the same collection."""
    path, found = url, []
    while path:
        response = await client.get(path)
        found += await response.get_json()
        links = [link.split(";") for link in response.headers.get("Link", "").split(",")]
        following = [link[0].strip(" <>") for link in links if 'rel="next"' in link[-1]]
        assert all(one.startswith(url.partition("?")[0] + "?") for one in following)
        path = next(iter(following), "")
    return found


@pytest.mark.parametrize(
    "query",
    [
        "limit=7",
        "limit=7&sort=-text",
        "limit=3&sort=witness_id,-created_at",
        "limit=4&witness_id=2",
        "limit=9&only=id,text",
        "limit=9&exclude=text&include=account,origin",
    ],
)
async def test_a_nested_collection_lists_as_the_filter_does(client: Client, query: str) -> None:
    nested = await walk(client, f"/account/1/note?{query}")

    assert nested == await walk(client, f"/note?account_id=1&{query}")
    assert len(nested) >= 3


async def test_a_nested_collection_is_that_of_the_first_reference_to_a_blueprint(
    client: Client,
) -> None:
    of_account = await read(client, "/account/2/note?limit=100")
    of_note = await read(client, "/note/1/note?limit=100")

    assert {note["account_id"] for note in of_account} == {2}
    assert {note["origin_id"] for note in of_note} == {1}
    assert {note["witness_id"] for note in of_account} == {None, 2}


@pytest.mark.parametrize("sort", ["id", "-id", "origin_id", "-origin_id"])
async def test_later_pages_of_an_optional_reference_are_cheap(
    app: App, client: Client, sort: str
) -> None:
    with statements(app) as sent:
        notes = await walk(client, f"/note/1/note?limit=7&sort={sort}&only=id")
    ids = list(range(6, NOTES + 1))

    assert [note["id"] for note in notes] == (ids[::-1] if sort.startswith("-") else ids)
    assert {one.work for one in sent} == {Work.PAGES}
    assert all("NULLS" not in one.sql for one in sent)


async def test_a_nested_collection_counts_its_own_records(client: Client) -> None:
    response = await client.get("/account/1/note?limit=1", headers={"Prefer": "count=exact"})

    assert response.headers["X-Total-Count"] == str(NOTES // 2)


@pytest.mark.error("404 RecordNotFound")
@pytest.mark.parametrize("id", [ACCOUNTS + 1, BEYOND])
async def test_a_nested_collection_of_what_is_missing_is_a_404(client: Client, id: int) -> None:
    error = await error_of(await client.get(f"/account/{id}/note"), 404, "RecordNotFound")

    assert error["message"] == f"There is no Account with `id: {id}`"


async def test_a_nested_collection_of_what_has_no_records_is_empty(client: Client) -> None:
    assert await read(client, f"/account/{ACCOUNTS}/note") == []


@pytest.mark.parametrize("id", [1, BEYOND])
@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ("account_id=2", "/account_id"),
        ("sort=text,-text", "/sort"),
        ("after=x", "/after"),
        ("include=nothing", "/include/0"),
        ("colour=red", ""),
    ],
)
async def test_a_nested_collection_refuses_what_is_wrong_in_its_query(
    client: Client, query: str, pointer: str, id: int
) -> None:
    response = await client.get(f"/account/{id}/note?{query}")
    [fault] = (await error_of(response, 422, "InvalidAPIRequest"))["errors"]

    assert fault["pointer"] == pointer


async def test_the_filter_by_the_reference_may_repeat_what_the_url_says(client: Client) -> None:
    url = "/account/1/note"

    assert await read(client, f"{url}?account_id=1") == await read(client, url)


async def test_a_cursor_of_one_nested_collection_is_not_one_of_another(client: Client) -> None:
    response = await client.get("/account/1/note?limit=1")
    cursor = response.headers["Link"].partition("after=")[2].partition(">")[0]
    other = await client.get(f"/account/2/note?limit=1&after={cursor}")
    whole = await client.get(f"/note?limit=1&after={cursor}")

    for refused in (other, whole):
        await error_of(refused, 422, "InvalidAPIRequest")


@pytest.mark.parametrize(
    ("url", "works"),
    [
        ("/account/1/note", [Work.PAGES]),
        (f"/account/{ACCOUNTS}/note", [Work.PAGES, Work.READS]),
        (f"/account/{ACCOUNTS + 1}/note", [Work.PAGES, Work.READS]),
        ("/note?limit=50", [Work.PAGES]),
        ("/note?limit=1&include=account", [Work.PAGES]),
        ("/note?limit=50&include=account,witness,origin", [Work.PAGES]),
        ("/account/1/note?limit=30&include=account,witness,origin", [Work.PAGES]),
        ("/note/6?include=account,witness,origin", [Work.READS]),
    ],
)
async def test_the_number_of_statements_does_not_depend_on_the_number_of_records(
    client: Client, app: App, url: str, works: list[Work]
) -> None:
    with statements(app) as sent:
        await client.get(url)

    assert [one.work for one in sent] == works


@pytest.mark.parametrize(
    "url", ["/note/{}?include=account", "/note?limit=9&include=account", "/account/3/note"]
)
async def test_requests_that_arrive_together_share_statements(
    client: Client, app: App, url: str
) -> None:
    with statements(app) as sent:
        await asyncio.gather(*(client.get(url.format(number)) for number in range(1, 21)))

    # One that is sent at once, and one for all that arrive meanwhile, unless the machine is busy:
    # then the first result can come before the last request.
    assert len([one for one in sent if "note" in one.sql]) <= 5


@pytest.mark.parametrize(
    "url",
    ["/note/6", "/note", "/account/2/note", "/note?sort=-witness_id,text"],
)
async def test_included_records_are_as_their_own_urls_have_them(client: Client, url: str) -> None:
    separator = "&" if "?" in url else "?"
    found = await read(client, f"{url}{separator}include=account,witness,origin")
    records = {
        path: await read(client, path)
        for path in (*(f"/account/{number}" for number in (1, 2)), "/note/1")
    }
    notes = found if isinstance(found, list) else [found]

    assert notes
    for note in notes:
        for name, path in (("account", "account"), ("witness", "account"), ("origin", "note")):
            number = note[f"{name}_id"]
            expected = None if number is None else records[f"/{path}/{number}"]
            assert note[name] == expected


async def test_a_response_with_an_included_record_has_no_entity_tag(client: Client) -> None:
    url = "/note/1?include=account"
    tag = (await client.get("/note/1")).headers["ETag"]
    for condition in ("*", tag):
        response = await client.get(url, headers={"If-None-Match": condition})

        assert response.status_code == 200
        assert "ETag" not in response.headers
        assert response.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("only=id&include=account", {"id", "account"}),
        ("only=id,account_id&include=account,account", {"id", "account_id", "account"}),
        ("exclude=account_id,created_at,updated_at&include=witness", None),
    ],
)
async def test_fields_are_chosen_of_the_record_and_not_of_what_is_included(
    client: Client, query: str, names: set[str] | None
) -> None:
    for url in ("/note/1", "/note", "/account/2/note"):
        found = await read(client, f"{url}?{query}")
        note = found[0] if isinstance(found, list) else found

        assert note.keys() == (names or {"id", "witness_id", "origin_id", "text", "witness"})
        for included in (one for one in note.values() if isinstance(one, dict)):
            assert included.keys() == {*Account.fields()}


@pytest.mark.parametrize("url", ["/note/1", "/note", "/account/1/note"])
@pytest.mark.parametrize("names", ["accounts", "account,text", "account_id", ""])
async def test_what_is_no_reference_is_not_included(client: Client, url: str, names: str) -> None:
    response = await client.get(f"{url}?include={names}")
    [fault] = (await error_of(response, 422, "InvalidAPIRequest"))["errors"]

    assert fault["pointer"].startswith("/include/")


async def test_a_collection_without_references_takes_no_include(client: Client) -> None:
    for url in ("/account", "/account/1"):
        response = await client.get(f"{url}?include=account")
        [fault] = (await error_of(response, 422, "InvalidAPIRequest"))["errors"]

        assert fault["keyword"] == "additionalProperties"


def test_a_page_that_includes_is_of_a_kind_of_its_own() -> None:
    selections = [
        NOTE.selection(ListNote(include=include), 50)
        for include in (None, ("account",), ("origin", "account"), ("account", "origin", "origin"))
    ]
    kinds = [selection.kind for selection in selections]

    assert len({*kinds}) == 3
    assert selections[2] == selections[3]


def test_the_contract_has_the_parameter_and_the_property(app: App) -> None:
    document = contract_of(app)
    schemas = document["components"]["schemas"]
    for path in ("/note", "/note/{id}", "/account/{id}/note"):
        [parameter] = [
            one
            for one in document["paths"][path]["get"]["parameters"]
            if one.get("name") == "include"
        ]

        assert parameter["schema"]["items"] == {"$ref": "#/components/schemas/NoteReference"}
    assert schemas["NoteReference"]["enum"] == ["account", "witness", "origin"]
    properties = schemas["NoteFields"]["properties"]
    account = {"$ref": "#/components/schemas/Account"}
    assert properties["account"].items() >= account.items()
    assert properties["witness"]["oneOf"] == [account, {"type": "null"}]
    assert "account" not in schemas["Note"]["properties"]
    assert "404" in document["paths"]["/account/{id}/note"]["get"]["responses"]


def test_an_unknown_reference_is_refused_whatever_the_contract_says() -> None:
    with pytest.raises(ValueError, match="Unknown references: text"):
        NOTE.selection(ListNote(include=("account", "text")), 50)


class ListLarge(ListNote):
    """The query of large records."""

    @classmethod
    def contract(cls) -> Any:
        """Return how many records a page has, without and with included ones."""
        most = {"limit": {"x-page-records": 200}, "include": {"x-page-records": 34}}
        return SimpleNamespace(document={"properties": most})


def test_a_page_has_fewer_records_if_included_ones_may_be_large() -> None:
    include = ("account",)

    assert ListLarge(limit=500).most_records() == 200
    assert ListLarge(limit=500, include=include).most_records() == 34
    assert ListLarge(limit=3, include=include).most_records() == 3
