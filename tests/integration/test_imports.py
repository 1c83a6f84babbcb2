"""Bulk import, all or nothing: NDJSON and CSV."""

import asyncio
import csv
import io
import json
from collections.abc import Sequence
from typing import Any

import pytest
from quart import Quart
from quart.wrappers import Response
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from service.settings import Settings
from tests.app import create_app
from tests.client import Client
from tests.envelope import error_of
from tests.factories import item
from tests.integration.test_exports import HARD
from tests.waiting import until

NDJSON = {"Content-Type": "application/x-ndjson"}
CSV = {"Content-Type": "text/csv"}


def ndjson_of(records: Sequence[Any]) -> bytes:
    return "".join(f"{json.dumps(record)}\n" for record in records).encode()


def csv_of(rows: Sequence[Sequence[str]]) -> bytes:
    file = io.StringIO(newline="")
    csv.writer(file).writerows(rows)
    return file.getvalue().encode()


async def post(
    client: Client, body: bytes | str, headers: dict[str, str] = CSV, **more: str
) -> Response:
    data = body.encode() if isinstance(body, str) else body
    return await client.post("/item", data=data, headers=headers | more)


async def faults_of(response: Response) -> list[tuple[int, str, str, str]]:
    error = await error_of(response, 422, "InvalidAPIRequest")
    assert error["message"] == [fault["message"] for fault in error["errors"]]
    return [
        (fault["line"], fault["pointer"], fault["keyword"], fault["message"])
        for fault in error["errors"]
    ]


async def stored(client: Client) -> list[tuple[str, str]]:
    page = await (await client.get("/item?limit=200")).get_json()
    return [(record["name"], record["email"]) for record in page]


@pytest.mark.parametrize("media_type", ["application/x-ndjson", "text/csv; charset=UTF-8"])
async def test_every_line_becomes_a_record(client: Client, media_type: str) -> None:
    records = [item(name=name) for name in HARD]
    rows = [["email", "name"], *([record["email"], record["name"]] for record in records)]
    body = ndjson_of(records) if "json" in media_type else csv_of(rows)
    response = await post(client, body, {"Content-Type": media_type})

    assert response.status_code == 201
    assert await response.get_json() == {"created": len(HARD)}
    assert await stored(client) == [(record["name"], record["email"]) for record in records]


@pytest.mark.parametrize(
    "media_type", ["application/x-ndjson", "text/csv", "text/csv; escape=formula"]
)
async def test_an_export_can_be_imported(
    client: Client, engine: AsyncEngine, media_type: str
) -> None:
    for name in HARD:
        await client.post("/item", json=item(name=name))
    before = await stored(client)
    export = await client.get("/item", headers={"Accept": media_type})
    body = await export.get_data()
    async with engine.begin() as connection:
        await connection.execute(text("TRUNCATE item"))
    response = await post(client, body, {"Content-Type": media_type.partition(";")[0]})

    assert response.status_code == 201
    assert await stored(client) == before


@pytest.mark.parametrize(
    ("body", "headers", "count"),
    [
        (b"", NDJSON, 0),
        (b"\n \r\n\n", NDJSON, 0),
        (b'{"name": "Ada", "email": "a@b.org"}', NDJSON, 1),
        (b'\n{"name": "Ada", "email": "a@b.org"}\r\n\n', NDJSON, 1),
        (b"name,email", CSV, 0),
        (b"name,email\nAda,a@b.org", CSV, 1),
        (b"\xef\xbb\xbfname,email\r\n\r\nAda,a@b.org\r\n\r\n", CSV, 1),
        (b'"name","email"\r\n"A ""b""",a@b.org\r\n', CSV, 1),
        (b"\n\r\nname,email\nAda,a@b.org\n", CSV, 1),
        (b"\xef\xbb\xbf\nname,email\nAda,a@b.org\n", CSV, 1),
        (b"\xef\xbb\xbf", NDJSON, 0),
        (b'\xef\xbb\xbf{"name": "Ada", "email": "a@b.org"}\r\n', NDJSON, 1),
        (b",\r\nname,email\r\n,\r\nAda,a@b.org\r\n,\r\n,,,\r\n,", CSV, 1),
        # Columns that once had a format have commas too, though not in each row.
        (b"name,email,,\r\nAda,a@b.org,,\r\nBob,b@b.org\r\nCy,c@b.org,\r\n", CSV, 3),
        (b"name,email\nAda,a@b.org,,\n", CSV, 1),
    ],
)
async def test_lines_without_text_are_passed_over(
    client: Client, body: bytes, headers: dict[str, str], count: int
) -> None:
    response = await post(client, body, headers)

    assert await response.get_json() == {"created": count}
    assert len(await stored(client)) == count


async def test_faults_have_their_lines_and_nothing_is_stored(client: Client) -> None:
    await client.post("/item", json={"name": "Taken", "email": "taken@example.org"})
    lines = [
        '{"name": "Fine", "email": "fine@example.org"}',
        '{"name": "A", "email": "a@example.org"}',
        '{"name": "Twice", "email": "fine@example.org"}',
        '{"name": "Taken", "email": "taken@example.org"}',
        '{"name": "Case", "email": "FINE@example.org"}',
        "",
        '{"name": "No e-mail"}',
        "[1]",
        '{"name": "NUL \\u0000", "email": "n@example.org"}',
        '{"name": "Dup", "name": "Dup", "email": "d@example.org"}',
        '{"name": ',
        '{"name": "  ", "email": "s@example.org"}',
        '{"name": "More", "email": "m@example.org", "colour": "red"}',
    ]
    response = await post(client, "\n".join(lines), NDJSON)

    assert await faults_of(response) == [
        (2, "/name", "minLength", "'A' is too short"),
        (3, "/email", "uniqueItems", "Email `fine@example.org` has already been taken"),
        (4, "/email", "uniqueItems", "Email `taken@example.org` has already been taken"),
        (7, "", "required", "'email' is a required property"),
        (8, "", "type", "[1] is not of type 'object'"),
        (9, "/name", "pattern", "The character U+0000 can't be stored"),
        (10, "", "format", "The line is not valid JSON: the property 'name' is duplicated"),
        (11, "", "format", "The line is not valid JSON: Expecting value, at column 10"),
        (
            12,
            "/name",
            "pattern",
            "'  ' needs at least two characters that are not white space",
        ),
        (
            13,
            "",
            "additionalProperties",
            "Additional properties are not allowed ('colour' was unexpected)",
        ),
    ]
    assert await stored(client) == [("Taken", "taken@example.org")]


async def test_a_taken_email_is_found_before_anything_is_stored(client: Client) -> None:
    first = await client.post("/item", json=item())
    lines = [item() for _ in range(10)]
    refused = await post(client, ndjson_of([*lines, lines[0]]), NDJSON)
    second = await client.post("/item", json=item())

    assert refused.status_code == 422
    # Storing a record takes an id, even if it is rolled back.
    assert (await second.get_json())["id"] == (await first.get_json())["id"] + 1


async def test_faults_of_csv_have_the_lines_that_an_editor_shows(client: Client) -> None:
    body = (
        b"name,email\r\n"
        b'"Two\r\nlines",fine@example.org\r\n'
        b"A,a@example.org\r\n"
        b"only one\r\n"
        b"one,two@example.org,three\r\n"
        b'"x"y,z@example.org\r\n'
        b"\xff\xff,latin@example.org\r\n"
        b"N\0UL,nul@example.org\r\n"
        b'A"d"a,q@example.org\r\n'
        b'A"da,q@example.org\r\n'
        b"C\rR,cr@example.org\r\n"
        b'"no end,e@example.org\r\n'
    )
    found = await faults_of(await post(client, body))

    assert [(line, keyword) for line, _, keyword, _ in found] == [
        (4, "minLength"),
        (5, "minItems"),
        (6, "maxItems"),
        (7, "format"),
        (8, "format"),
        (9, "pattern"),
        (10, "format"),
        (11, "format"),
        (12, "format"),
        (13, "format"),
    ]
    assert found[1][3] == "The line has 1 fields, the first line has 2"
    assert found[4][3] == "Byte 0 is not UTF-8"
    not_csv = "Not valid CSV (RFC 4180): a {} is not allowed here"
    assert {found[place][3] for place in (3, 6, 7)} == {not_csv.format("quotation mark")}
    assert found[8][3] == not_csv.format("carriage return")
    assert found[9][3] == "A quotation mark is not closed"
    assert await stored(client) == []


@pytest.mark.parametrize(
    ("head", "sentence"),
    [
        ("", "The line with the names of the fields is missing"),
        ("name,email,name", "The name 'name' is duplicated"),
        ("name", "'email' is a required property"),
        ("name,email,colour", "Additional properties are not allowed ('colour' was unexpected)"),
        ("Name,Email", "'name' is a required property"),
        ('"",""', "'name' is a required property"),
        ("\n\n", "The line with the names of the fields is missing"),
        ('"na"me,email', "Not valid CSV (RFC 4180): a quotation mark is not allowed here"),
        ("n" * 10_001, "The line is longer than 10000 bytes"),
        (b"na\xffme,email", "Byte 2 is not UTF-8"),
    ],
)
async def test_a_first_line_without_field_names_is_a_fault(
    client: Client, head: str | bytes, sentence: str
) -> None:
    line = head.encode() if isinstance(head, str) else head
    body = line + b"\r\nAda,a@b.org,x\r\n" if line.strip() else line
    found = await faults_of(await post(client, body))

    assert (found[0][0], found[0][3]) == (1, sentence)


async def test_lines_of_commas_alone_count(client: Client) -> None:
    body = b"\xef\xbb\xbfname,email\r\n,\r\n,\r\nA,a@example.org\r\n,b@example.org\r\n"
    found = await faults_of(await post(client, body))

    assert [(line, pointer) for line, pointer, _, _ in found] == [(4, "/name"), (5, "/name")]


@pytest.mark.parametrize(
    ("head", "name"), [("name;email", "`;`"), ("name\temail", "a tab"), ("sep=;", "`;`")]
)
async def test_another_separator_is_a_fault(client: Client, head: str, name: str) -> None:
    found = await faults_of(await post(client, f"{head}\r\nAda;a@b.org\r\n"))

    assert found == [
        (1, "", "format", f"The fields are separated by {name}: separate them by commas")
    ]


async def test_the_first_hundred_faults_are_reported_in_the_order_of_their_lines(
    client: Client,
) -> None:
    good = [item() for _ in range(30)]
    # The database finds what is taken later than the schema finds what is wrong.
    lines = [*good, *(good[number % 30] if number % 3 else {} for number in range(150))]
    found = await faults_of(await post(client, ndjson_of(lines), NDJSON))

    # Two faults in a line that is empty: name and e-mail are missing.
    wanted = [31 + number for number in range(75) for _ in range(1 if number % 3 else 2)]
    assert [fault[0] for fault in found] == wanted[:100]
    assert await stored(client) == []


async def test_a_line_that_is_too_long_is_a_fault(client: Client) -> None:
    long = b'{"name": "' + b"n" * 20_000 + b'", "email": "n@example.org"}\n'
    lines = await faults_of(await post(client, b"\n" + long + b"[]\n" + long, NDJSON))
    cells = await faults_of(await post(client, b'name,email\n"' + b"n\n" * 10_000 + b"x"))

    assert [(line, keyword) for line, _, keyword, _ in lines] == [
        (2, "maxLength"),
        (3, "type"),
        (4, "maxLength"),
    ]
    assert lines[0][3] == "The line is longer than 10000 bytes"
    assert cells[0][:3] == (2, "", "maxLength")


@pytest.mark.limit("IMPORT_BYTES")
async def test_a_file_over_the_limit_is_refused(settings: Settings, empty_database: None) -> None:
    app = create_app(settings.model_copy(update={"max_import_bytes": 1000}))
    line = ndjson_of([item()])
    async with app.test_app():
        client = app.test_client()
        fits = await client.post("/item", data=line.ljust(1000), headers=NDJSON)
        refused = await client.post("/item", data=line.ljust(1001), headers=NDJSON)

    assert await fits.get_json() == {"created": 1}
    error = await error_of(refused, 413, "InvalidAPIRequest")
    assert error["message"] == "The request body is larger than 1000 bytes."


@pytest.mark.parametrize("parameter", ["charset=latin-1", "charset=utf-16", "header=absent"])
async def test_another_form_of_csv_is_refused(client: Client, parameter: str) -> None:
    content_type = f"text/csv; {parameter}"
    response = await post(client, "name,email", {"Content-Type": content_type})

    await error_of(response, 415, "InvalidContentType")


async def test_a_repeated_import_gets_the_answer_of_the_first(client: Client) -> None:
    body = ndjson_of([item(), item()])
    key = {"Idempotency-Key": "file-1"}
    first = await post(client, body, NDJSON, **key)
    again = await post(client, body, NDJSON, **key)
    other = await post(client, ndjson_of([item()]), NDJSON, **key)

    assert first.status_code == again.status_code == 201
    assert "Idempotency-Replayed" not in first.headers
    assert again.headers["Idempotency-Replayed"] == "true"
    assert await again.get_json() == await first.get_json() == {"created": 2}
    await error_of(other, 422, "InvalidAPIRequest")
    assert len(await stored(client)) == 2


async def test_an_import_is_invisible_until_it_is_complete(
    app: Quart, client: Client, engine: AsyncEngine
) -> None:
    lines = ndjson_of([item() for _ in range(12_000)])
    async with engine.begin() as connection:
        # The end of the file is not sent; all before it is stored, but not visible to others.
        last = json.loads(lines.splitlines()[-1])["email"]
        statement = "INSERT INTO item (name, email) VALUES ('rival', :email)"
        await connection.execute(text(statement), {"email": last})
        task = asyncio.create_task(post(client, lines, NDJSON))
        waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'transactionid'"
        await until(engine, waiting, 1)
        async with engine.connect() as observer:
            seen = await observer.scalar(text("SELECT count(*) FROM item"))
    found = await faults_of(await task)

    assert seen == 0
    assert [fault[0] for fault in found] == [12_000]
    assert await stored(client) == [("rival", last)]


async def test_a_database_that_dies_midway_stores_nothing(
    client: Client, engine: AsyncEngine
) -> None:
    lines = ndjson_of([item() for _ in range(12_000)])
    task = asyncio.create_task(post(client, lines, NDJSON))
    kill = (
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
        " AND xact_start IS NOT NULL AND query LIKE '%item_lines%'"
    )
    await until(engine, kill, True)
    response = await task

    await error_of(response, 503, "DatabaseError")
    assert await stored(client) == []
