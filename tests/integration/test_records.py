"""The resource over HTTP, proven in the database through connections of one's own."""

from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.client import Client
from tests.envelope import error_of
from tests.factories import item


async def stored(engine: AsyncEngine) -> list[tuple[Any, ...]]:
    async with engine.connect() as connection:
        found = await connection.execute(text("SELECT id, name, email FROM item ORDER BY id"))
        return [tuple(row) for row in found]


async def create(client: Client, **fields: str) -> dict[str, Any]:
    response = await client.post("/item", json=item(**fields))
    assert response.status_code == 201
    body: dict[str, Any] = await response.get_json()
    return body


async def test_post_stores_a_record_and_answers_with_it(
    client: Client, engine: AsyncEngine
) -> None:
    response = await client.post("/item", json={"name": "Ada", "email": "ada@example.org"})
    body = await response.get_json()

    assert response.status_code == 201
    assert list(body) == ["id", "name", "email", "created_at", "updated_at"]
    assert (body["id"], body["name"], body["email"]) == (1, "Ada", "ada@example.org")
    assert body["created_at"] == body["updated_at"]
    assert response.headers["Location"] == "/item/1"
    assert response.headers["ETag"] == '"1"'
    assert response.headers["Content-Type"] == "application/json"
    assert await stored(engine) == [(1, "Ada", "ada@example.org")]


async def test_get_returns_the_response_of_post(client: Client) -> None:
    created = await create(client)
    response = await client.get(f"/item/{created['id']}")

    assert response.status_code == 200
    assert await response.get_json() == created
    assert response.headers["ETag"] == '"1"'


async def test_head_has_the_headers_of_get(client: Client) -> None:
    created = await create(client)
    got = await client.get(f"/item/{created['id']}")
    response = await client.head(f"/item/{created['id']}")

    assert response.status_code == 200
    assert response.headers["Content-Length"] == got.headers["Content-Length"]
    assert response.headers["ETag"] == got.headers["ETag"]


@pytest.mark.parametrize(
    ("query", "fields"),
    [
        ("only=name,id", ["id", "name"]),
        ("only=email", ["email"]),
        ("exclude=created_at,updated_at", ["id", "name", "email"]),
        ("exclude=id%2Cname", ["email", "created_at", "updated_at"]),
        ("exclude=id,name,email,created_at,updated_at", []),
    ],
)
async def test_only_and_exclude_choose_fields_and_drop_the_etag(
    client: Client, query: str, fields: list[str]
) -> None:
    created = await create(client)
    response = await client.get(f"/item/{created['id']}?{query}")

    page = await (await client.get(f"/item?{query}")).get_json()

    assert await response.get_json() == {name: created[name] for name in fields}
    assert page == [{name: created[name] for name in fields}]
    assert "ETag" not in response.headers


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ("only=id&exclude=name", ""),
        ("only=version", "/only/0"),
        ("exclude=nope", "/exclude/0"),
        ("only=", "/only/0"),
        ("only=id,id", "/only"),
        ("only=id&only=name", "/only"),
        ("fields=id", ""),
    ],
)
async def test_fields_that_can_not_be_chosen_are_a_fault(
    client: Client, query: str, pointer: str
) -> None:
    created = await create(client)
    error = await error_of(
        await client.get(f"/item/{created['id']}?{query}"), 422, "InvalidAPIRequest"
    )

    assert [fault["pointer"] for fault in error["errors"]] == [pointer]


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
async def test_an_update_changes_only_the_given_fields(
    client: Client, engine: AsyncEngine, method: str
) -> None:
    created = await create(client, email="ada@example.org")
    response = await client.open("/item/1", method=method, json={"name": "Zed"})
    body = await response.get_json()

    assert response.status_code == 200
    assert body == created | {"name": "Zed", "updated_at": body["updated_at"]}
    assert body["updated_at"] > created["updated_at"]
    assert response.headers["ETag"] == '"2"'
    assert await stored(engine) == [(1, "Zed", "ada@example.org")]


async def test_an_empty_update_changes_nothing(client: Client) -> None:
    created = await create(client)
    response = await client.put("/item/1", json={})

    assert await response.get_json() == created
    assert response.headers["ETag"] == '"1"'


async def test_patch_takes_a_merge_patch(client: Client) -> None:
    await create(client)
    response = await client.patch(
        "/item/1",
        data=b'{"name": "Zed"}',
        headers={"Content-Type": "application/merge-patch+json; charset=utf-8"},
    )

    assert (await response.get_json())["name"] == "Zed"


async def test_delete_removes_the_record(client: Client, engine: AsyncEngine) -> None:
    await create(client)
    response = await client.delete("/item/1")

    assert response.status_code == 200
    assert await response.get_json() == {"message": "Item with `id: 1` has been deleted."}
    assert await stored(engine) == []


@pytest.mark.error("404 RecordNotFound")
@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize("id", ["0", "99", "9223372036854775808", "9" * 5000])
async def test_there_is_no_such_record(client: Client, method: str, id: str) -> None:
    json = {"name": "Zed"} if method in {"PUT", "PATCH"} else None
    response = await client.open(f"/item/{id}", method=method, json=json)
    error = await error_of(response, 404, "RecordNotFound")
    shown = id if len(id) <= 80 else f"{id[:80]}…"

    assert error["message"] == f"There is no Item with `id: {shown}`"


@pytest.mark.error("409 RecordAlreadyExists")
async def test_an_email_that_is_taken_is_a_conflict_and_nothing_is_stored(
    client: Client, engine: AsyncEngine
) -> None:
    await create(client, email="ada@example.org")
    await create(client, email="bob@example.org")
    before = await stored(engine)
    taken = {"email": "ada@example.org"}

    for response in (
        await client.post("/item", json=item(**taken)),
        await client.put("/item/2", json=taken),
    ):
        error = await error_of(response, 409, "RecordAlreadyExists")
        assert error["message"] == "Email `ada@example.org` has already been taken"
    assert await stored(engine) == before


async def test_emails_are_compared_case_sensitively(client: Client) -> None:
    await create(client, email="ada@example.org")

    await create(client, email="Ada@example.org")


async def test_an_update_to_its_own_email_is_no_conflict(client: Client) -> None:
    await create(client, email="ada@example.org")
    response = await client.put("/item/1", json={"email": "ada@example.org"})

    assert response.status_code == 200


@pytest.mark.parametrize("name", [" a b ", "\u3000\u6570\u636e", "a\n\tb", "\U0001f418\U0001f418"])
async def test_white_space_next_to_other_characters_is_stored_unchanged(
    client: Client, engine: AsyncEngine, name: str
) -> None:
    await create(client, name="Ada", email="ada@example.org")
    response = await client.put("/item/1", json={"name": name})

    assert response.status_code == 200
    assert await stored(engine) == [(1, name, "ada@example.org")]


@pytest.mark.error("422 InvalidAPIRequest")
@pytest.mark.parametrize("method", ["PUT", "PATCH"])
async def test_an_update_to_white_space_changes_nothing(
    client: Client, engine: AsyncEngine, method: str
) -> None:
    await create(client, name="Ada", email="ada@example.org")
    response = await client.open("/item/1", method=method, json={"name": "\t\u2003"})
    error = await error_of(response, 422, "InvalidAPIRequest")

    assert [(fault["pointer"], fault["keyword"]) for fault in error["errors"]] == [
        ("/name", "pattern")
    ]
    assert await stored(engine) == [(1, "Ada", "ada@example.org")]


@pytest.mark.parametrize(
    ("payload", "messages"),
    [
        ({"name": "f"}, {"'email' is a required property", "'f' is too short"}),
        ({"name": 7, "email": "a@b.co"}, {"7 is not of type 'string'"}),
        ({"name": "foo", "email": "nope"}, {"'nope' is not a valid email"}),
        (
            {"name": "foo", "email": "a@b.co", "id": 7},
            {"Additional properties are not allowed ('id' was unexpected)"},
        ),
        ({"name": "x" * 201, "email": "a@b.co"}, {f"'{'x' * 80}…' is too long"}),
        (
            {"name": "  ", "email": "a@b.co"},
            {"'  ' needs at least two characters that are not white space"},
        ),
        (
            {"name": "\u3000a\u00a0", "email": "a@b.co"},
            {"'\u3000a\u00a0' needs at least two characters that are not white space"},
        ),
        ([], {"[] is not of type 'object'"}),
        (None, {"null is not of type 'object'"}),
    ],
)
async def test_every_fault_of_a_payload_is_named(
    client: Client, engine: AsyncEngine, payload: Any, messages: set[str]
) -> None:
    error = await error_of(await client.post("/item", json=payload), 422, "InvalidAPIRequest")

    assert set(error["message"]) == messages
    assert [fault["message"] for fault in error["errors"]] == error["message"]
    assert await stored(engine) == []


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        (rb'{"name": "a\u0000b", "email": "a@b.co"}', "/name"),
        (rb'{"name": "a\ud800b", "email": "a@b.co"}', "/name"),
        (rb'{"name": "ab", "email": "a@b.co", "\ud800": 1}', ""),
    ],
)
async def test_text_that_postgresql_can_not_hold_is_a_fault(
    client: Client, engine: AsyncEngine, body: bytes, pointer: str
) -> None:
    response = await client.post("/item", data=body, headers={"Content-Type": "application/json"})
    error = await error_of(response, 422, "InvalidAPIRequest")

    assert [fault["pointer"] for fault in error["errors"]] == [pointer]
    assert await stored(engine) == []


async def test_text_of_any_other_kind_comes_back_as_it_was_sent(client: Client) -> None:
    name = "Zoë \U0001f600 \u202e ' \" \\ \n 日本"
    created = await create(client, name=name)

    assert created["name"] == name
