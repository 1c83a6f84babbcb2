"""Entity tags: reading what has changed only, and changing what one has read only."""

import pytest

from tests.client import Client
from tests.envelope import error_of
from tests.factories import foss


@pytest.fixture
async def record(client: Client) -> str:
    """Return the URL of a record at version 2."""
    created = await client.post("/foss", json=foss())
    url: str = created.headers["Location"]
    await client.put(url, json={"name": "Zed"})
    return url


@pytest.mark.parametrize("condition", ['"2"', 'W/"2"', '"1", "2"', "*"])
async def test_what_has_not_changed_is_a_304_without_body(
    client: Client, record: str, condition: str
) -> None:
    response = await client.get(record, headers={"If-None-Match": condition})

    assert response.status_code == 304
    assert await response.get_data() == b""
    assert response.headers["ETag"] == '"2"'
    assert response.headers["X-Request-ID"]


@pytest.mark.parametrize("condition", ['"1"', '"22"', "2", '""', "nonsense"])
async def test_what_has_changed_is_sent(client: Client, record: str, condition: str) -> None:
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
    response = await client.open("/foss/99", method=method, json=json, headers={"If-Match": '"1"'})

    await error_of(response, 404, "RecordNotFound")


async def test_a_stale_tag_is_told_before_a_taken_email(client: Client, record: str) -> None:
    await client.post("/foss", json=foss(email="taken@example.org"))
    response = await client.put(
        record, json={"email": "taken@example.org"}, headers={"If-Match": '"1"'}
    )

    await error_of(response, 412, "PreconditionFailed")
