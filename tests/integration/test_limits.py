"""The limits of what one request may contain: each holds at its value, and one beyond."""

import json
from typing import Any

import pytest

from service.common import limits
from service.settings import Settings
from tests.client import Client
from tests.envelope import error_of
from tests.factories import foss

JSON = {"Content-Type": "application/json"}


async def post(client: Client, body: bytes, status: int) -> dict[str, Any]:
    response = await client.post("/foss", data=body, headers=JSON)
    error: dict[str, Any] = await error_of(response, status, "InvalidAPIRequest")
    return error


@pytest.mark.limit("BODY_BYTES")
async def test_a_body_of_the_largest_size_is_read(client: Client, settings: Settings) -> None:
    largest = settings.max_body_bytes
    response = await client.post("/foss", data=json.dumps(foss()).ljust(largest), headers=JSON)
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
    error = await error_of(await client.get(f"/foss?{repeated}"), 422, "InvalidAPIRequest")

    assert len(error["errors"]) == min(most, most + more)


@pytest.mark.limit("FAULT_NAMES")
async def test_the_first_names_are_in_the_message(client: Client) -> None:
    most = limits.FAULT_NAMES.value

    for number in (most, most + 1):
        strangers = {f"stranger{index}": 1 for index in range(number)}
        error = await error_of(
            await client.post("/foss", json=foss(**strangers)), 422, "InvalidAPIRequest"
        )
        assert "".join(error["message"]).count("'stranger") == most


@pytest.mark.limit("QUOTED_CHARACTERS")
async def test_a_quoted_value_is_cut(client: Client) -> None:
    most = limits.QUOTED_CHARACTERS.value

    whole, cut = [
        (await error_of(await client.get(f"/foss?after={'x' * length}"), 422, "InvalidAPIRequest"))
        for length in (most, most + 1)
    ]

    assert f"'{'x' * most}'" in str(whole["message"])
    assert f"'{'x' * most}…'" in str(cut["message"])


@pytest.mark.limit("LIST_ITEMS")
async def test_a_list_of_the_most_items_is_left_to_the_schema(client: Client) -> None:
    most = limits.LIST_ITEMS.value

    found = [
        await error_of(await client.get(f"/foss?only={names}"), 422, "InvalidAPIRequest")
        for names in (",".join(["x"] * most), ",".join(["x"] * (most + 1)))
    ]

    assert "has more than" not in str(found[0]["message"])
    assert found[1]["message"] == [f"'only' has more than {most} items"]


@pytest.mark.limit("RECORD_ID_DIGITS")
@pytest.mark.parametrize("more", [0, 1])
async def test_an_id_of_many_digits_names_no_record(client: Client, more: int) -> None:
    digits = "9" * (limits.RECORD_ID_DIGITS.value + more)
    error = await error_of(await client.get(f"/foss/{digits}"), 404, "RecordNotFound")

    assert "`id: 999" in error["message"]
