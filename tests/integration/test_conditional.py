"""Entity tags: reading what has changed only, and changing what one has read only."""

import asyncio

import pytest

from tests.client import Client
from tests.envelope import error_of
from tests.factories import item


@pytest.fixture
async def record(client: Client) -> str:
    """Return the URL of a record at version 2."""
    created = await client.post("/item", json=item())
    url: str = created.headers["Location"]
    await client.put(url, json={"name": "Zed"})
    return url


@pytest.mark.parametrize("condition", ['"2"', 'W/"2"', '"1", "2"', "*"])
async def test_an_unchanged_record_is_a_304_without_body(
    client: Client, record: str, condition: str
) -> None:
    response = await client.get(record, headers={"If-None-Match": condition})

    assert response.status_code == 304
    assert await response.get_data() == b""
    assert response.headers["ETag"] == '"2"'
    assert response.headers["X-Request-ID"]


@pytest.mark.parametrize("condition", ['"1"', '"22"', "2", '""', "nonsense"])
async def test_a_changed_record_is_sent(client: Client, record: str, condition: str) -> None:
    response = await client.get(record, headers={"If-None-Match": condition})

    assert response.status_code == 200


@pytest.mark.parametrize("condition", ['"2"', '"1", "2"', "*"])
@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
async def test_a_current_tag_lets_a_change_pass(
    client: Client, record: str, method: str, condition: str
) -> None:
    json = {"name": "Ada"} if method != "DELETE" else None
    response = await client.open(record, method=method, json=json, headers={"If-Match": condition})

    assert response.status_code == 200


@pytest.mark.error("412 PreconditionFailed")
@pytest.mark.parametrize("condition", ['"1"', 'W/"2"', "2", '"2x"', '"02"', "", "nonsense"])
@pytest.mark.parametrize(
    ("method", "json"),
    [("PUT", {"name": "Ada"}), ("PUT", {}), ("PATCH", {"name": "Ada"}), ("DELETE", None)],
)
async def test_a_stale_tag_is_a_412_and_changes_nothing(
    client: Client, record: str, method: str, json: object, condition: str
) -> None:
    response = await client.open(record, method=method, json=json, headers={"If-Match": condition})
    await error_of(response, 412, "PreconditionFailed")

    assert response.headers["ETag"] == '"2"'
    assert (await (await client.get(record)).get_json())["name"] == "Zed"


@pytest.mark.parametrize(
    ("method", "json"), [("PUT", {"name": "Ada"}), ("PUT", {}), ("DELETE", None)]
)
async def test_a_record_that_is_gone_is_a_404_before_it_is_a_412(
    client: Client, method: str, json: object
) -> None:
    response = await client.open("/item/99", method=method, json=json, headers={"If-Match": '"1"'})

    await error_of(response, 404, "RecordNotFound")


async def test_a_stale_tag_takes_precedence_over_a_taken_email(client: Client, record: str) -> None:
    await client.post("/item", json=item(email="taken@example.org"))
    response = await client.put(
        record, json={"email": "taken@example.org"}, headers={"If-Match": '"1"'}
    )

    await error_of(response, 412, "PreconditionFailed")


@pytest.mark.parametrize(
    ("method", "path", "json", "cache_control"),
    [
        ("POST", "/item", {"name": "New", "email": "new@example.org"}, "private, no-cache"),
        ("GET", "/item", None, "no-store"),
        ("GET", "/item/1", None, "private, no-cache"),
        ("HEAD", "/item/1", None, "private, no-cache"),
        ("GET", "/item/1?only=id", None, "no-store"),
        ("PUT", "/item/1", {"name": "New"}, "private, no-cache"),
        ("PATCH", "/item/1", {}, "private, no-cache"),
        ("DELETE", "/item/1", None, "no-store"),
        ("GET", "/item/99", None, "no-store"),
        ("GET", "/nope", None, "no-store"),
        ("PUT", "/item", {}, "no-store"),
        ("GET", "/item?limit=0", None, "no-store"),
        ("POST", "/item", {}, "no-store"),
        ("GET", "/livez", None, "no-store"),
        ("GET", "/docs", None, "no-cache"),
    ],
)
async def test_no_shared_cache_may_keep_an_answer(
    client: Client, record: str, method: str, path: str, json: object, cache_control: str
) -> None:
    body = {} if json is None else {"json": json}
    response = await client.open(path, method=method, **body)

    assert response.headers.getlist("Cache-Control") == [cache_control]


@pytest.mark.parametrize("accept", ["text/csv", "application/x-ndjson"])
async def test_no_cache_may_keep_a_file(client: Client, accept: str) -> None:
    response = await client.get("/item", headers={"Accept": accept})

    assert response.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("path", ["/item/1", "/docs/init.js"])
async def test_a_304_repeats_cache_control(client: Client, record: str, path: str) -> None:
    whole = await client.get(path)
    headers = {"If-None-Match": whole.headers["ETag"]}
    unchanged = await client.get(path, headers=headers)

    assert unchanged.status_code == 304
    assert unchanged.headers["Cache-Control"] == whole.headers["Cache-Control"]


CHANGES = [("PUT", {"name": "Ada"}), ("PUT", {}), ("PATCH", {"name": "Ada"}), ("DELETE", None)]


@pytest.mark.parametrize("condition", ["*", " * ", '"2"', 'W/"2"', '"1", "2"'])
@pytest.mark.parametrize(("method", "json"), CHANGES)
async def test_a_current_tag_in_if_none_match_is_a_412_and_changes_nothing(
    client: Client, record: str, method: str, json: object, condition: str
) -> None:
    headers = {"If-None-Match": condition}
    response = await client.open(record, method=method, json=json, headers=headers)
    error = await error_of(response, 412, "PreconditionFailed")

    assert error["message"] == (
        "`If-None-Match` excludes the current version of Item with `id: 1`."
    )
    assert response.headers["ETag"] == '"2"'
    assert (await (await client.get(record)).get_json())["name"] == "Zed"


@pytest.mark.parametrize("condition", ['"1"', 'W/"3"', '"22"', "2", "", "nonsense"])
@pytest.mark.parametrize(("method", "json"), CHANGES)
async def test_another_tag_in_if_none_match_lets_a_change_pass(
    client: Client, record: str, method: str, json: object, condition: str
) -> None:
    headers = {"If-None-Match": condition}
    response = await client.open(record, method=method, json=json, headers=headers)

    assert response.status_code == 200


@pytest.mark.parametrize(
    ("if_match", "if_none_match", "status", "words"),
    [
        ('"2"', '"1"', 200, ""),
        ("*", '"1"', 200, ""),
        # `If-Match` is evaluated first.
        ('"1"', "*", 412, "has changed"),
        ('"1"', '"2"', 412, "has changed"),
        ('"2"', "*", 412, "`If-None-Match` excludes"),
        ("*", '"2"', 412, "`If-None-Match` excludes"),
    ],
)
@pytest.mark.parametrize(("method", "json"), CHANGES)
async def test_both_conditions_must_hold(
    client: Client,
    record: str,
    method: str,
    json: object,
    if_match: str,
    if_none_match: str,
    status: int,
    words: str,
) -> None:
    headers = {"If-Match": if_match, "If-None-Match": if_none_match}
    response = await client.open(record, method=method, json=json, headers=headers)

    assert response.status_code == status
    assert words in await response.get_data(as_text=True)


@pytest.mark.parametrize(("method", "json"), CHANGES)
async def test_if_none_match_on_a_record_that_is_not_there_is_a_404(
    client: Client, method: str, json: object
) -> None:
    headers = {"If-None-Match": "*"}
    response = await client.open("/item/99", method=method, json=json, headers=headers)

    await error_of(response, 404, "RecordNotFound")


async def test_if_none_match_takes_precedence_over_a_taken_email(
    client: Client, record: str
) -> None:
    await client.post("/item", json=item(email="taken@example.org"))
    headers = {"If-None-Match": "*"}
    response = await client.put(record, json={"email": "taken@example.org"}, headers=headers)

    await error_of(response, 412, "PreconditionFailed")


async def test_a_condition_is_held_among_changes_that_share_a_statement(client: Client) -> None:
    """Of concurrent changes, those with a condition are not batched."""
    for _ in range(5):
        await client.post("/item", json=item(name="Old"))
    answers = await asyncio.gather(
        *(
            client.put(
                f"/item/{number}",
                json={"name": "New"},
                headers={"If-None-Match": "*"} if turn % 2 else {},
            )
            for turn in range(4)
            for number in range(1, 6)
        )
    )

    assert [answer.status_code for answer in answers] == [*[200] * 5, *[412] * 5] * 2
    assert {(await client.get(f"/item/{number}")).headers["ETag"] for number in range(1, 6)} == {
        '"3"'
    }
