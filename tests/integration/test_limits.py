"""The limits of what one request may contain: each holds at its value, and one beyond."""

import json
from typing import Any

import pytest
from quart.wrappers import Response

from service import limits
from service.settings import Settings
from tests.client import Client
from tests.envelope import error_of
from tests.factories import item

PROBLEM = "application/problem+json"
JSON = {"Content-Type": "application/json"}


async def post(client: Client, body: bytes, status: int) -> dict[str, Any]:
    response = await client.post("/item", data=body, headers=JSON)
    error: dict[str, Any] = await error_of(response, status, "InvalidAPIRequest")
    return error


@pytest.mark.limit("BODY_BYTES")
async def test_a_body_of_the_largest_size_is_read(client: Client, settings: Settings) -> None:
    largest = settings.max_body_bytes
    response = await client.post("/item", data=json.dumps(item()).ljust(largest), headers=JSON)
    refused = await post(client, b"".ljust(largest + 1), 413)

    assert response.status_code == 201
    assert refused["message"] == f"The request body is larger than {largest} bytes."


@pytest.mark.limit("JSON_DEPTH")
async def test_json_of_the_greatest_depth_is_read(client: Client) -> None:
    depth = limits.JSON_DEPTH.value

    await post(client, b"[" * depth + b"]" * depth, 422)
    refused = await post(client, b"[" * (depth + 1) + b"]" * (depth + 1), 400)

    assert refused["message"] == f"The request body nests deeper than {depth}."


@pytest.mark.limit("JSON_DIGITS")
async def test_a_number_of_the_most_digits_is_read(client: Client) -> None:
    digits = limits.JSON_DIGITS.value

    await post(client, b"9" * digits, 422)
    await post(client, b"9" * (digits + 1), 400)


@pytest.mark.limit("FAULTS")
@pytest.mark.parametrize("more", [-1, 0, 1])
async def test_the_first_faults_are_reported(client: Client, more: int) -> None:
    most = limits.FAULTS.value
    repeated = "&".join(f"{name}=1&{name}=1" for name in range(most + more))
    error = await error_of(await client.get(f"/item?{repeated}"), 422, "InvalidAPIRequest")

    assert len(error["errors"]) == min(most, most + more)


@pytest.mark.limit("FAULT_NAMES")
async def test_the_first_names_are_in_the_message(client: Client) -> None:
    most = limits.FAULT_NAMES.value

    for number in (most, most + 1):
        unknowns = {f"unknown{index}": 1 for index in range(number)}
        error = await error_of(
            await client.post("/item", json=item(**unknowns)), 422, "InvalidAPIRequest"
        )
        assert "".join(error["message"]).count("'unknown") == most


@pytest.mark.limit("QUOTED_CHARACTERS")
async def test_a_quoted_value_is_cut(client: Client) -> None:
    most = limits.QUOTED_CHARACTERS.value

    whole, cut = [
        (await error_of(await client.get(f"/item?after={'x' * length}"), 422, "InvalidAPIRequest"))
        for length in (most, most + 1)
    ]

    assert f"'{'x' * most}'" in str(whole["message"])
    assert f"'{'x' * most}…'" in str(cut["message"])


@pytest.mark.limit("LIST_ITEMS")
async def test_a_list_of_the_most_items_is_left_to_the_schema(client: Client) -> None:
    most = limits.LIST_ITEMS.value

    found = [
        await error_of(await client.get(f"/item?only={names}"), 422, "InvalidAPIRequest")
        for names in (",".join(["x"] * most), ",".join(["x"] * (most + 1)))
    ]

    assert "has more than" not in str(found[0]["message"])
    assert found[1]["message"] == [f"'only' has more than {most} items"]


@pytest.mark.limit("RECORD_ID_DIGITS")
@pytest.mark.parametrize("more", [0, 1])
async def test_an_id_of_many_digits_names_no_record(client: Client, more: int) -> None:
    digits = "9" * (limits.RECORD_ID_DIGITS.value + more)
    error = await error_of(await client.get(f"/item/{digits}"), 404, "RecordNotFound")

    assert "`id: 999" in error["message"]


@pytest.mark.limit("HEADER_ITEMS")
@pytest.mark.parametrize(("path", "preferred"), [("/item", "text/csv"), ("/nope", PROBLEM)])
async def test_a_preference_counts_if_it_is_among_the_first_items(
    client: Client, path: str, preferred: str
) -> None:
    most = limits.HEADER_ITEMS.value

    last, beyond = [
        await client.get(path, headers={"Accept": ", ".join(["a/b;q=0.1"] * more + [preferred])})
        for more in (most - 1, most)
    ]

    assert last.mimetype == preferred
    assert beyond.mimetype == "application/json"


@pytest.mark.limit("CONTENT_TYPE_BYTES")
@pytest.mark.parametrize("media_type", ["application/json", "text/csv", "text/html"])
async def test_a_content_type_beyond_the_limit_is_not_parsed(
    client: Client, media_type: str
) -> None:
    most = limits.CONTENT_TYPE_BYTES.value

    for more in (0, 1):
        headers = {"Content-Type": f"{media_type}; a=".ljust(most + more, "b")}
        response = await client.post("/item", data=json.dumps(item()), headers=headers)
        message = f"Invalid content-type. It is longer than {most} bytes."
        assert (message in await response.get_data(as_text=True)) == bool(more)
        assert response.status_code != 415 or more or media_type == "text/html"


@pytest.mark.limit("ENTITY_TAGS")
@pytest.mark.parametrize("name", ["If-Match", "If-None-Match"])
@pytest.mark.parametrize(
    ("method", "sent"), [("PUT", {"name": "Ada"}), ("PUT", {}), ("PATCH", {}), ("DELETE", None)]
)
async def test_a_change_under_too_many_tags_is_refused(
    client: Client, name: str, method: str, sent: Any
) -> None:
    most = limits.ENTITY_TAGS.value
    await client.post("/item", json=item(name="Zed"))
    first = 1 if name == "If-Match" else 2
    options = {} if sent is None else {"json": sent}

    async def change(tags: int, extra: str) -> Response:
        text = ", ".join(f'"{number}"' for number in range(first, first + tags)) + extra
        return await client.open("/item/1", method=method, headers={name: text}, **options)

    for extra in (', "one,more"', ',W/"7"', "," + '""' * 30_000):
        error = await error_of(await change(most, extra), 422, "InvalidAPIRequest")
        assert error["message"] == [f"'{name}' has more than {most} entity tags"]
        assert error["errors"][0]["pointer"] == f"/{name}"
    assert (await (await client.get("/item/1")).get_json())["name"] == "Zed"
    assert (await change(most, ", nonsense" * 200)).status_code == 200


@pytest.mark.limit("ENTITY_TAGS")
async def test_a_read_under_too_many_tags_is_refused(client: Client) -> None:
    most = limits.ENTITY_TAGS.value
    await client.post("/item", json=item())

    statuses = [
        (await client.get("/item/1", headers={"If-None-Match": '"9", ' * more + '"1"'})).status_code
        for more in (most - 1, most)
    ]

    assert statuses == [304, 422]


@pytest.mark.limit("QUERY_BYTES")
async def test_a_query_string_of_the_largest_size_is_read(client: Client) -> None:
    most = limits.QUERY_BYTES.value

    whole = await client.get("/item?q=a".ljust(len("/item?") + most, "&"))
    error = await error_of(
        await client.get("/item?".ljust(most + 7, "&")), 422, "InvalidAPIRequest"
    )

    assert whole.status_code == 200
    assert error["message"] == [f"The query string is longer than {most} bytes"]
