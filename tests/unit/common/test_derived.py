"""What is derived from the schema of a record."""

import json
from typing import Any

import pytest
from jsonschema_rs import Draft202012Validator

from ops.generate.blueprint.fields import read
from ops.generate.blueprint.files import Blueprint
from service.common.contract.derived import derived
from service.common.contract.sizes import page_records
from service.common.resource.cursors import Cursor, encode_cursor, scope_of
from service.common.resource.ordering import Key
from tests.blueprints.item.payloads import ListItem

MIB = 1 << 20


def record(**properties: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of a record."""
    return {"properties": properties}


@pytest.mark.limit("PAGE_BYTES")
@pytest.mark.parametrize(
    ("schema", "records"),
    [
        ({"type": "integer"}, 200),
        ({"type": "string", "format": "decimal"}, 200),
        ({"type": "string", "enum": ["a", "b"]}, 200),
        ({"type": "string", "maxLength": 1746}, 200),
        # Six bytes for each character, and seven for the name.
        ({"type": "string", "maxLength": 1748}, 199),
        ({"type": ["string", "null"], "maxLength": 10_000}, 34),
        ({"type": ["object", "string"], "x-max-bytes": 2 * MIB - 6}, 1),
        ({"type": "array", "x-max-bytes": 3 * MIB}, 1),
        ({"type": "array", "maxItems": 9, "items": {"type": "integer"}}, 200),
        ({"type": "array", "maxItems": 9, "items": {"type": "string", "maxLength": 10_000}}, 3),
        # As long as a body.
        ({"type": "object"}, 1),
        ({"$ref": "other.json"}, 1),
        ({"oneOf": [{"type": "integer"}]}, 1),
    ],
)
def test_a_page_has_room_for_records_of_any_length(schema: dict[str, Any], records: int) -> None:
    assert page_records(record(name=schema)) == records


def test_the_query_of_a_page_knows_how_many_records_it_has() -> None:
    assert ListItem.page_records() == 200


@pytest.mark.parametrize(
    ("moment", "is_valid"),
    [
        ("2026-01-02T03:04:05.678901Z", True),
        ("2026-01-02T03:04:05Z", True),
        ("2026-01-02t03:04:05.5z", True),
        ("2026-01-02T03:04:05.67+05:30", True),
        ("2026-01-02T03:04:05", False),
        ("2026-01-02T03:04:05.6789012Z", False),
        ("2026-13-02T03:04:05Z", False),
        ("9999-12-31T00:00:00Z", False),
        ("2026-01-02", False),
    ],
)
def test_a_filter_takes_a_moment_in_the_forms_of_a_body(moment: str, is_valid: bool) -> None:
    field = read("at:datetime:filter")
    files = dict(Blueprint("visit", [field]).files())
    document = json.loads(files["schemas/visit/visit.json"])
    query = dict(derived("visit/visit.json", document, ""))["visit/list_visit.json"]
    schemas = (query["properties"]["at"], field.schema())

    for schema in schemas:
        validator = Draft202012Validator(schema, validate_formats=True)
        assert validator.is_valid(moment) == is_valid


def test_a_cursor_of_the_longest_values_to_sort_by_is_valid() -> None:
    fields = [read("title:string(400):index"), read("place:string(250):index:optional")]
    files = dict(Blueprint("visit", fields).files())
    document = json.loads(files["schemas/visit/visit.json"])
    query = dict(derived("visit/visit.json", document, ""))["visit/list_visit.json"]
    after = query["properties"]["after"]
    longest = Cursor((400 * "\x01", 250 * "\x1f", 2**63 - 1))
    scope = scope_of((Key("title"), Key("place"), Key("id")), ())

    assert Draft202012Validator(after).is_valid(encode_cursor(longest, scope))


@pytest.mark.parametrize("sorts", [["id"], ["id", "b_id"]])
def test_the_example_of_an_order_is_valid_however_few_fields_there_are(sorts: list[str]) -> None:
    document = record(id={"type": "integer"}, b_id={"type": "integer"}) | {
        "$schema": "",
        "title": "A",
        "x-collection": {"sort": sorts},
        "examples": [{"id": 1, "b_id": 2}],
    }
    documents = dict(derived("a/a.json", document, ""))
    [example] = documents["a/list_a.json"]["properties"]["sort"]["examples"]

    assert {*example} <= {*documents["a/a_sort.json"]["enum"]}


@pytest.mark.limit("CURSOR_CHARACTERS")
def test_a_cursor_fits_in_a_url_however_long_the_values_to_sort_by_are() -> None:
    fields = [read(f"{name}:string(600):index") for name in ("title", "place")]
    files = dict(Blueprint("visit", fields).files())
    document = json.loads(files["schemas/visit/visit.json"])
    query = dict(derived("visit/visit.json", document, ""))["visit/list_visit.json"]
    after = Draft202012Validator(query["properties"]["after"])

    assert [after.is_valid("A" * length) for length in (6000, 6001)] == [True, False]


def test_a_page_with_included_records_has_room_for_them_too() -> None:
    other = record(text={"type": "string", "maxLength": 10_000})
    files = {"b/b.json": other}
    properties = {"id": {"type": "integer"}, "b_id": {"type": "integer", "x-reference": "b"}}
    document = {
        "$schema": "",
        "title": "A",
        "x-collection": {},
        "examples": [{"id": 1, "b_id": 2}],
        "properties": properties,
    }
    derived_files = dict(derived("a/a.json", document, "", files))
    parameters = derived_files["a/list_a.json"]["properties"]

    assert parameters["limit"]["x-page-records"] == 200
    assert parameters["include"]["x-page-records"] == page_records(other) == 34
    assert "at most 34 records" in parameters["include"]["description"]
    assert "x-page-records" not in derived_files["a/get_a.json"]["properties"]["include"]


def test_a_reference_that_is_not_declared_can_not_be_included() -> None:
    other = record(text={"type": "string", "maxLength": 100})
    document = {
        "$schema": "",
        "title": "A",
        "x-collection": {},
        "examples": [{"id": 1, "b_id": 2}],
        "properties": {"id": {"type": "integer"}, "b_id": {"type": "integer"}},
    }
    derived_files = dict(derived("a/a.json", document, "", {"b/b.json": other}))

    for name in ("a/list_a.json", "a/get_a.json"):
        assert "include" not in derived_files[name]["properties"]
