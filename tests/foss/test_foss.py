"""The wire contract of `/foss`."""

from typing import Any

import pytest

from tests.client import Client
from tests.envelope import error_of

ONE: dict[str, Any] = {"name": "Name 1", "email": "email1@example.org"}
TWO: dict[str, Any] = {"name": "Name 2", "email": "email2@example.org"}


async def test_a_record_is_created_read_changed_and_deleted(client: Client) -> None:
    created = await client.post("/foss", json=ONE)
    record = await created.get_json()
    read = await client.get("/foss/1")
    changed = await client.put("/foss/1", json=TWO)
    after = await changed.get_json()
    deleted = await client.delete("/foss/1")
    missing = await client.get("/foss/1")

    assert (created.status_code, read.status_code, changed.status_code) == (201, 200, 200)
    assert {name: record[name] for name in ONE} == ONE
    assert await read.get_json() == record
    assert {name: after[name] for name in TWO} == TWO
    assert deleted.status_code == 200
    await error_of(missing, 404, "RecordNotFound")


async def test_a_body_that_is_empty_or_of_other_types_is_a_422(client: Client) -> None:
    empty = await client.post("/foss", json={})
    wrong = await client.post("/foss", json={name: [] for name in ONE})
    faults = (await error_of(wrong, 422, "InvalidAPIRequest"))["errors"]

    assert empty.status_code == 422
    assert {fault["pointer"] for fault in faults} == {
        "/name",
        "/email",
    }


async def test_two_records_have_no_email_in_common(client: Client) -> None:
    await client.post("/foss", json=ONE)
    response = await client.post("/foss", json=TWO | {"email": ONE["email"]})

    await error_of(response, 409, "RecordAlreadyExists")


@pytest.mark.parametrize(
    "sort",
    [
        "id",
        "-id",
        "name",
        "-name",
        "email",
        "-email",
        "created_at",
        "-created_at",
        "updated_at",
        "-updated_at",
    ],
)
async def test_the_collection_is_read_page_by_page_in_every_order(
    client: Client, sort: str
) -> None:
    for body in (ONE, TWO):
        await client.post("/foss", json=body)
    whole = await (await client.get(f"/foss?sort={sort}")).get_json()
    found, path = [], f"/foss?limit=1&sort={sort}"
    while path:
        page = await client.get(path)
        found += await page.get_json()
        links = [link.split(";") for link in page.headers.get("Link", "").split(",")]
        path = next((link[0].strip(" <>") for link in links if 'rel="next"' in link[-1]), "")

    assert len(whole) > 1
    assert found == whole


async def test_the_collection_is_filtered_by_name(client: Client) -> None:
    for body in (ONE, TWO):
        await client.post("/foss", json=body)
    answer = await client.get("/foss", query_string={"name": "Name 1"})
    found = await answer.get_json()

    assert found
    assert {record["name"] for record in found} == {ONE["name"]}


async def test_the_collection_is_filtered_by_email(client: Client) -> None:
    for body in (ONE, TWO):
        await client.post("/foss", json=body)
    answer = await client.get("/foss", query_string={"email": "email1@example.org"})
    found = await answer.get_json()

    assert found
    assert {record["email"] for record in found} == {ONE["email"]}


@pytest.mark.parametrize("form", ["text/csv", "application/x-ndjson"])
async def test_an_export_can_be_imported(client: Client, form: str) -> None:
    for body in (ONE, TWO):
        await client.post("/foss", json=body)
    export = await (await client.get("/foss", headers={"Accept": form})).get_data()
    before = await (await client.get("/foss")).get_json()
    for record in before:
        await client.delete(f"/foss/{record['id']}")
    imported = await client.post("/foss", data=export, headers={"Content-Type": form})
    after = await (await client.get("/foss")).get_json()

    assert await imported.get_json() == {"created": len(before)}
    assert [{name: record[name] for name in ONE} for record in after] == [
        {name: record[name] for name in ONE} for record in before
    ]
