"""The wire contract of `/foss`; what it shares with every resource is tested on `/item`."""

from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from service.common.resource.versions import fingerprint
from service.foss.models import Foss
from tests.client import Client
from tests.envelope import error_of
from tests.foss.factories import foss

ADA = {"name": "Ada", "email": "ada@example.org"}
FIELDS = ["id", "name", "email", "created_at", "updated_at"]
SORTS = ",".join(FIELDS)


async def stored(engine: AsyncEngine) -> list[tuple[Any, ...]]:
    async with engine.connect() as connection:
        found = await connection.execute(text("SELECT id, name, email FROM foss ORDER BY id"))
        return [tuple(row) for row in found]


async def test_a_record_is_created_and_read(client: Client, engine: AsyncEngine) -> None:
    created = await client.post("/foss", json=ADA)
    read = await client.get("/foss/1")
    record = await created.get_json()

    assert (created.status_code, read.status_code) == (201, 200)
    assert created.headers["Location"] == "/foss/1"
    assert created.headers["ETag"] == read.headers["ETag"] == f'"{fingerprint(Foss) + 1}"'
    assert [name for name in record if name in FIELDS] == FIELDS
    assert (record["id"], record["name"], record["email"]) == (1, "Ada", "ada@example.org")
    assert await read.get_json() == record
    assert await stored(engine) == [(1, "Ada", "ada@example.org")]


async def test_a_record_is_changed_and_deleted(client: Client, engine: AsyncEngine) -> None:
    created = await client.post("/foss", json=ADA)
    put = await client.put("/foss/1", json={"name": "Grace"})
    patched = await client.patch("/foss/1", json={"email": "g@example.org"})
    found = await stored(engine)
    stale = await client.delete("/foss/1", headers={"If-Match": created.headers["ETag"]})
    deleted = await client.delete("/foss/1")

    assert put.headers["ETag"] == f'"{fingerprint(Foss) + 2}"'
    assert patched.headers["ETag"] == f'"{fingerprint(Foss) + 3}"'
    assert found == [(1, "Grace", "g@example.org")]
    await error_of(stale, 412, "PreconditionFailed")
    assert await deleted.get_json() == {"message": "Foss with `id: 1` has been deleted."}
    assert await stored(engine) == []


async def test_the_collection_is_sorted_filtered_and_searched(client: Client) -> None:
    for name in ("Ada", "Grace", "Adele"):
        await client.post("/foss", json=foss(name=name, email=f"{name}@example.org"))
    for query, names in {
        "": ["Ada", "Grace", "Adele"],
        "sort=-name": ["Grace", "Adele", "Ada"],
        f"sort={SORTS}": ["Ada", "Grace", "Adele"],
        "name=Grace": ["Grace"],
        "email=Adele@example.org": ["Adele"],
        "q=ADE": ["Adele"],
    }.items():
        page = await (await client.get(f"/foss?{query}")).get_json()

        assert [record["name"] for record in page] == names, query


async def test_a_foss_that_is_missing_taken_or_invalid_is_an_error(client: Client) -> None:
    await client.post("/foss", json=ADA)
    missing = await error_of(await client.get("/foss/99"), 404, "RecordNotFound")
    taken = await error_of(await client.post("/foss", json=ADA), 409, "RecordAlreadyExists")
    invalid = await error_of(
        await client.post("/foss", json={"name": " x ", "email": "x"}), 422, "InvalidAPIRequest"
    )

    assert missing["message"] == "There is no Foss with `id: 99`"
    assert taken["message"] == "Email `ada@example.org` has already been taken"
    assert {fault["pointer"] for fault in invalid["errors"]} == {"/name", "/email"}


async def test_an_export_can_be_imported(client: Client, engine: AsyncEngine) -> None:
    csv = {"Content-Type": "text/csv"}
    imported = await client.post(
        "/foss", data=b"name,email\r\nAda,ada@example.org\r\n", headers=csv
    )
    lines = {"Accept": "application/x-ndjson"}
    exported = await client.get("/foss?only=name,email", headers=lines)

    assert await imported.get_json() == {"created": 1}
    assert await exported.get_data() == b'{"name":"Ada","email":"ada@example.org"}\n'
    assert await stored(engine) == [(1, "Ada", "ada@example.org")]
