"""Validators from schema files: all faults of a value, each with its place."""

import gc
import json
import weakref
from collections.abc import Iterable, Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from ops.generate.blueprint.fields import Field
from service.common.contract import validation
from service.common.contract.validation import (
    BASE,
    DIRECTORY,
    Described,
    Payload,
    Schema,
    SchemaError,
    load_schemas,
)
from service.common.errors.exceptions import Fault, InvalidAPIRequest
from service.common.errors.violations import faults_of, pointer, quote
from tests.blueprints.aside import SCHEMAS
from tests.blueprints.item.payloads import CreateItem, GetItem, ListItem, UpdateItem

DRAFT = "https://json-schema.org/draft/2020-12/schema"


def write(directory: Path, name: str, document: object) -> None:
    """Write a schema file; a `dict` gets the address that its place asks for."""
    if isinstance(document, dict):
        document = {"$schema": DRAFT, "$id": BASE + name, **document}
    path = directory / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document), encoding="utf-8")


def compile_schema(directory: Path, **document: Any) -> Schema:
    """Return one schema, compiled as the files of the service are."""
    write(directory, "a.json", document)
    return load_schemas(directory)["a.json"]


# The sentences of each keyword.
SENTENCES: list[tuple[dict[str, Any], object, Fault]] = [
    (
        {"required": ["email"]},
        {},
        Fault("", "required", "'email' is a required property"),
    ),
    ({"minLength": 2}, "f", Fault("", "minLength", "'f' is too short")),
    ({"maxLength": 2}, "foo", Fault("", "maxLength", "'foo' is too long")),
    ({"type": "string"}, 7, Fault("", "type", "7 is not of type 'string'")),
    ({"type": "string"}, None, Fault("", "type", "null is not of type 'string'")),
    ({"type": "integer"}, "7", Fault("", "type", "'7' is not of type 'integer'")),
    ({"type": "integer"}, True, Fault("", "type", "true is not of type 'integer'")),
    ({"type": "object"}, ["ä"], Fault("", "type", "[\"ä\"] is not of type 'object'")),
    ({"format": "email"}, "nope", Fault("", "format", "'nope' is not a valid email")),
    ({"minimum": 1}, 0, Fault("", "minimum", "0 is less than the minimum of 1")),
    ({"maximum": 1}, 2, Fault("", "maximum", "2 is greater than the maximum of 1")),
    ({"enum": ["id"]}, "x", Fault("", "enum", "'x' is not one of 'id'")),
    ({"const": "id"}, "x", Fault("", "const", "'id' was expected")),
    ({"minItems": 1}, [], Fault("", "minItems", "[] has less than 1 item")),
    ({"maxItems": 1}, [1, 2], Fault("", "maxItems", "[1, 2] has more than 1 item")),
    (
        {"uniqueItems": True},
        ["a", "a"],
        Fault("", "uniqueItems", '["a", "a"] has non-unique elements'),
    ),
    (
        {"properties": {"a": {}}, "additionalProperties": False},
        {"x": 1},
        Fault(
            "",
            "additionalProperties",
            "Additional properties are not allowed ('x' was unexpected)",
        ),
    ),
    (
        {"properties": {"a": {}}, "additionalProperties": False},
        {"x": 1, "a": 1, "y": 2},
        Fault(
            "",
            "additionalProperties",
            "Additional properties are not allowed ('x', 'y' were unexpected)",
        ),
    ),
    (
        {"not": {"required": ["only", "exclude"]}},
        {"only": 1, "exclude": 1},
        Fault("", "not", "'only' and 'exclude' can't be used together"),
    ),
    (
        {"x-max-bytes": 8},
        ["é", 1, 1],
        Fault("", "x-max-bytes", "The value has 10 bytes: at most 8 are allowed"),
    ),
]


@pytest.mark.parametrize(
    ("document", "value", "fault"), SENTENCES, ids=[fault.message for _, _, fault in SENTENCES]
)
def test_each_keyword_has_its_sentence(
    tmp_path: Path, document: dict[str, Any], value: object, fault: Fault
) -> None:
    assert compile_schema(tmp_path, **document).faults(value) == [fault]


@pytest.mark.limit("JSON_VALUE_BYTES")
@pytest.mark.parametrize(("size", "is_valid"), [(65_536, True), (65_537, False)])
def test_a_json_field_is_bounded_by_its_bytes(tmp_path: Path, size: int, is_valid: bool) -> None:
    field = Field("extra", "json")
    # Two quotation marks, and a character of two bytes.
    value = "é" + "x" * (size - 4)

    assert compile_schema(tmp_path, **field.schema()).validator.is_valid(value) == is_valid


def test_two_faults_keep_their_messages() -> None:
    with pytest.raises(InvalidAPIRequest) as caught:
        CreateItem.check({"name": "f"})

    assert caught.value.to_dict() == {
        "code": 422,
        "type": "InvalidAPIRequest",
        "message": ["'email' is a required property", "'f' is too short"],
        "errors": [
            {
                "pointer": "",
                "keyword": "required",
                "message": "'email' is a required property",
            },
            {"pointer": "/name", "keyword": "minLength", "message": "'f' is too short"},
        ],
    }


def test_every_fault_is_collected() -> None:
    faults = CreateItem.contract().faults({"name": "", "email": "x", "id": 7, "zip": 1})

    assert sorted((fault.pointer, fault.keyword) for fault in faults) == [
        ("", "additionalProperties"),
        ("/email", "format"),
        ("/email", "minLength"),
        ("/name", "minLength"),
    ]


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ([], ""),
        (["name"], "/name"),
        (["items", 0, "name"], "/items/0/name"),
        (["a/b"], "/a~1b"),
        (["~"], "/~0"),
        (["~1"], "/~01"),
        (["~/"], "/~0~1"),
        ([""], "/"),
        (["ä b%"], "/ä b%"),
    ],
)
def test_a_pointer_is_escaped_by_rfc_6901(path: list[str | int], text: str) -> None:
    assert pointer(path) == text


def test_the_pointer_of_a_fault_is_escaped(tmp_path: Path) -> None:
    schema = compile_schema(tmp_path, additionalProperties={"items": {"type": "string"}})

    assert [fault.pointer for fault in schema.faults({"a/b~c": ["x", 1]})] == ["/a~1b~0c/1"]


@pytest.mark.parametrize(
    ("value", "quoted"),
    [
        ("f", "'f'"),
        ("f" * 80, f"'{'f' * 80}'"),
        ("f" * 81, f"'{'f' * 80}…'"),
        (7, "7"),
        (1.5, "1.5"),
        (True, "true"),
        (None, "null"),
        ({"a": ["ü"]}, '{"a": ["ü"]}'),
        (list(range(100)), json.dumps(list(range(100)))[:80] + "…"),
        (int("1" * 400), "1" * 80 + "…"),
    ],
)
def test_a_quoted_value_is_cut_at_80_characters(value: object, quoted: str) -> None:
    assert quote(value) == quoted


def test_a_quoted_value_is_freed_with_its_request() -> None:
    """A reference cycle would keep the bodies of many requests until garbage collection."""

    class Watched(list[str]):
        """A list that supports weak references."""

    value = Watched(["x" * 100] * 10)
    freed = weakref.ref(value)
    gc.disable()
    try:
        quote(value)
        del value

        assert freed() is None
    finally:
        gc.enable()


@pytest.mark.parametrize(
    "value",
    [
        {"name": "n" * 100_000, "email": "e" * 100_000},
        {"name": ["x" * 100_000], "email": {"x" * 100_000: 1}},
        {"name": int("1" * 4000), "email": 1e308},
        {"x" * 100_000: 1},
        {f"{number:0100}": 1 for number in range(1000)},
    ],
    ids=["texts", "containers", "numbers", "a name", "names"],
)
def test_no_sentence_grows_with_the_value(value: object) -> None:
    faults = CreateItem.contract().faults(value)

    assert faults
    assert max(len(fault.message) for fault in faults) < 1000


def test_at_most_100_faults_are_reported(tmp_path: Path) -> None:
    schema = compile_schema(tmp_path, items={"type": "string"})

    assert len(schema.faults(list(range(10_000)))) == 100
    assert len(schema.faults(list(range(99)))) == 99


def test_ten_of_many_unknown_properties_are_named_and_no_fault_is_lost() -> None:
    unknown: dict[str, object] = {f"x{number}": [[]] for number in range(1000)}
    faults = CreateItem.contract().faults({"zip": 1, **unknown, "name": "f", "mail": 2})

    assert {fault.keyword for fault in faults} == {"required", "minLength", "additionalProperties"}
    [message] = [fault.message for fault in faults if fault.keyword == "additionalProperties"]
    names = ", ".join(["'zip'", *(f"'x{number}'" for number in range(9))])
    assert message == f"Additional properties are not allowed ({names} were unexpected)"


def test_no_fault_costs_a_copy_of_the_whole_value(monkeypatch: pytest.MonkeyPatch) -> None:
    """The validator copies into each error the value at its place."""
    places: list[list[str | int]] = []

    def record(errors: Iterable[Any], document: object) -> list[Fault]:
        errors = [*errors]
        places.extend([*error.instance_path] for error in errors)
        return faults_of(errors, document)

    monkeypatch.setattr(validation, "faults_of", record)
    value = {"name": [10**90] * 1000, "unknown": [10**90] * 1000}
    faults = CreateItem.contract().faults(value)

    assert {fault.keyword for fault in faults} == {"required", "type", "additionalProperties"}
    assert places == [["name"]]


@pytest.mark.parametrize(
    ("keyword", "found"),
    [
        ({"minProperties": 100}, set()),
        ({"maxProperties": 100}, {"maxProperties"}),
        ({"propertyNames": {"maxLength": 3}}, {"propertyNames"}),
        ({"patternProperties": {"^x": {"type": "string"}}}, {"type"}),
    ],
)
def test_a_keyword_that_looks_at_every_property_sees_them_all(
    tmp_path: Path, keyword: dict[str, Any], found: set[str]
) -> None:
    schema = compile_schema(
        tmp_path, type="object", properties={"a": {}}, additionalProperties=False, **keyword
    )
    value = {f"x{number}": number for number in range(200)}
    keywords = {fault.keyword for fault in schema.faults(value)}

    assert keywords - {"additionalProperties"} == found


@pytest.mark.parametrize(
    ("keywords", "found"),
    [
        ({"type": "object"}, {"type"}),
        ({"type": ["object", "null"]}, {"type"}),
        ({"type": "object", "enum": [{}]}, {"type", "enum"}),
    ],
)
def test_every_fault_of_a_value_that_is_not_an_object_is_reported(
    tmp_path: Path, keywords: dict[str, Any], found: set[str]
) -> None:
    schema = compile_schema(tmp_path, additionalProperties=False, properties={}, **keywords)

    assert {fault.keyword for fault in schema.faults([{"x": 1}])} == found


def test_a_value_that_holds_the_masks_character_is_quoted_as_it_is(tmp_path: Path) -> None:
    schema = compile_schema(tmp_path, minLength=9)

    assert schema.faults("a\x00b")[0].message == "'a\x00b' is too short"


@pytest.mark.parametrize(
    "email",
    ["a@b.co", "a+tag@example.org", "o'hara@example.org", "x" * 64 + "@example.org"],
)
def test_a_valid_address_is_accepted(email: str) -> None:
    assert CreateItem.check({"name": "Ada", "email": email}).email == email


@pytest.mark.parametrize(
    "email",
    [
        "",
        "a",
        "a@",
        "@b.co",
        "a b@c.co",
        "a@b@c.co",
        "a@b..co",
        "a@b.co\n",
        "a@" + "b" * 253,
        "Ada <a@b.co>",
    ],
)
def test_an_invalid_address_is_refused(email: str) -> None:
    with pytest.raises(InvalidAPIRequest) as caught:
        CreateItem.check({"name": "Ada", "email": email})

    assert {fault.pointer for fault in caught.value.faults} == {"/email"}


@pytest.mark.parametrize("length", [2, 200])
def test_a_name_is_counted_in_characters(length: int) -> None:
    assert CreateItem.check({"name": "🐘" * length, "email": "a@b.co"}).name == "🐘" * length


@pytest.mark.parametrize("length", [0, 1, 201])
def test_a_name_beyond_2_to_200_characters_is_refused(length: int) -> None:
    with pytest.raises(InvalidAPIRequest):
        CreateItem.check({"name": "🐘" * length, "email": "a@b.co"})


@pytest.mark.parametrize("value", [None, [], "text", 7, True, 1.5])
def test_a_value_that_is_not_an_object_is_rejected(value: object) -> None:
    with pytest.raises(InvalidAPIRequest) as caught:
        UpdateItem.check(value)

    assert [(fault.pointer, fault.keyword) for fault in caught.value.faults] == [("", "type")]


def test_faults_found_before_are_reported_instead_of_the_schemas() -> None:
    fault = Fault("/name", "pattern", "The character U+0000 can't be stored")

    with pytest.raises(InvalidAPIRequest) as caught:
        CreateItem.check({"name": "\x00"}, [fault])

    assert caught.value.code == 422
    assert list(caught.value.faults) == [fault]


def test_an_update_names_only_the_fields_that_came() -> None:
    payload = UpdateItem.check({"name": "zed"})

    assert payload.model_dump(exclude_unset=True) == {"name": "zed"}
    assert UpdateItem.check({}).model_dump(exclude_unset=True) == {}


@pytest.mark.parametrize("field", ["name", "email"])
def test_an_update_to_null_is_refused(field: str) -> None:
    with pytest.raises(InvalidAPIRequest) as caught:
        UpdateItem.check({field: None})

    assert caught.value.faults[0].pointer == f"/{field}"


def test_the_greatest_limit_has_nine_digits() -> None:
    assert ListItem.check({"limit": 999_999_999}).limit == 999_999_999
    with pytest.raises(InvalidAPIRequest):
        ListItem.check({"limit": 1_000_000_000})


@pytest.mark.parametrize(
    "value",
    [
        {"only": ["id"], "exclude": ["name"]},
        {"only": ["secret"]},
        {"exclude": ["version"]},
        {"only": [""]},
        {"only": ["id", "id"]},
        {"only": []},
        {"fields": ["id"]},
    ],
)
def test_only_and_exclude_take_known_fields_one_of_them_at_a_time(value: object) -> None:
    with pytest.raises(InvalidAPIRequest) as caught:
        GetItem.check(value)

    assert caught.value.code == 422


# Over every schema file.

# Of the service, and of the blueprints of the tests.
KNOWN = load_schemas() | load_schemas(SCHEMAS)
FILES = sorted(KNOWN)


def objects(schema: object, path: str = "") -> list[tuple[str, dict[str, Any]]]:
    """Return the parts of a schema file that describe an object, each with its place."""
    found: list[tuple[str, dict[str, Any]]] = []
    if isinstance(schema, dict):
        if schema.get("type") == "object":
            found.append((path, schema))
        for name, child in schema.items():
            if name not in {"examples", "default", "enum", "const"}:
                found += objects(child, f"{path}/{name}")
    elif isinstance(schema, list):
        for index, child in enumerate(schema):
            found += objects(child, f"{path}/{index}")
    return found


def unfinished(name: str, document: dict[str, Any]) -> list[str]:
    """Return what a schema file of this project lacks."""
    faults = [f"{key} is missing" for key in ("title", "description") if not document.get(key)]
    if document.get("$schema") != DRAFT:
        faults.append("$schema is not draft 2020-12")
    if document.get("$id") != BASE + name:
        faults.append("$id is not its address")
    if not isinstance(document.get("examples"), list) or not document["examples"]:
        faults.append("examples are missing")
    for path, schema in objects(document):
        if schema.get("additionalProperties") is not False:
            faults.append(f"{path} lets additional properties pass")
    for field, schema in document.get("properties", {}).items():
        if not schema.keys() & {"$ref", "type", "enum", "oneOf"}:
            faults.append(f"{field} has no type")
    return faults


def test_there_are_schema_files() -> None:
    assert {"item/create_item.json", "item/update_item.json", "common/error.json"} <= set(FILES)


@pytest.mark.parametrize("name", FILES)
def test_every_file_has_a_title_and_description(name: str) -> None:
    assert unfinished(name, KNOWN[name].document) == []


@pytest.mark.parametrize("name", FILES)
def test_every_examples_of_a_file_are_valid(name: str) -> None:
    schema = KNOWN[name]

    for example in schema.document["examples"]:
        assert schema.faults(example) == []


@pytest.mark.parametrize("name", FILES)
def test_every_property_has_examples_that_are_valid_and_a_description(name: str) -> None:
    schema = KNOWN[name]

    for field, part in schema.document.get("properties", {}).items():
        for example in part.get("examples", ()):
            assert schema.validator.is_valid({field: example}) or {
                fault.pointer for fault in schema.faults({field: example})
            } == {""}
        assert "$ref" in part or part.get("description") or part.get("type") == "object"


def test_no_two_files_have_the_same_title() -> None:
    titles = [schema.document["title"] for schema in KNOWN.values()]

    assert len(titles) == len(set(titles))


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"title": ""}, "title is missing"),
        ({"description": None}, "description is missing"),
        ({"$schema": "http://json-schema.org/draft-04/schema#"}, "$schema is not draft 2020-12"),
        ({"$id": "https://elsewhere.example/a.json"}, "$id is not its address"),
        ({"examples": []}, "examples are missing"),
        ({"additionalProperties": True}, " lets additional properties pass"),
        (
            {"properties": {"a": {"type": "object"}}},
            "/properties/a lets additional properties pass",
        ),
        ({"properties": {"a": {}}}, "a has no type"),
    ],
)
def test_an_unfinished_file_would_be_reported(change: dict[str, Any], fault: str) -> None:
    document = deepcopy(KNOWN["item/create_item.json"].document) | change

    assert unfinished("item/create_item.json", document) == [fault]


# Over every payload.


def descendants(base: type[Described]) -> Iterator[type[Described]]:
    """Yield every class that has a schema file: those without are bases of others."""
    for one in base.__subclasses__():
        # Modules of tests have some that they change.
        if hasattr(one, "schema_file") and ".test_" not in one.__module__:
            yield one
        yield from descendants(one)


RECORD: dict[str, Any] = {
    "title": "Item",
    "examples": [{"id": 1, "name": "a"}],
    "x-collection": {},
    "properties": {"id": {"type": "integer"}, "name": {"type": "string"}},
}
DESCRIBED = sorted(
    # Other payloads of tests have files of their own.
    (one for one in descendants(Described) if one.schema_directory in {DIRECTORY, SCHEMAS}),
    key=lambda one: one.__name__,
)
REQUESTS = [one for one in DESCRIBED if issubclass(one, Payload)]


def test_a_file_that_follows_from_another_is_not_written_by_hand(tmp_path: Path) -> None:
    write(tmp_path, "item/item.json", RECORD)
    write(tmp_path, "item/get_item.json", {"title": "GetItem"})

    with pytest.raises(SchemaError, match=r"get_item\.json: also derived from `x-collection`"):
        load_schemas(tmp_path)


def test_a_filter_that_is_no_property_is_named_with_its_file(tmp_path: Path) -> None:
    write(tmp_path, "item/item.json", {**RECORD, "x-collection": {"equal": {"size": "Its size."}}})

    with pytest.raises(SchemaError, match=r"item/item\.json: at /x-collection: KeyError: 'size'"):
        load_schemas(tmp_path)


def test_a_reference_with_the_name_of_a_property_is_named_with_its_file(tmp_path: Path) -> None:
    properties = {**RECORD["properties"], "name_id": {"type": "integer", "x-reference": "item"}}
    write(tmp_path, "item/item.json", {**RECORD, "properties": properties})

    with pytest.raises(SchemaError, match=r"item/item\.json: .*`name` is both a property and"):
        load_schemas(tmp_path)


def test_a_derived_schema_that_is_none_is_named(tmp_path: Path) -> None:
    write(tmp_path, "item/item.json", {**RECORD, "x-collection": {"equal": {"name": 5}}})

    with pytest.raises(SchemaError, match=r"item/list_item\.json: at /properties/name/desc"):
        load_schemas(tmp_path)


def test_a_derived_schema_has_no_reference_to_definitions_of_its_file(tmp_path: Path) -> None:
    properties = {**RECORD["properties"], "size": {"$ref": "#/$defs/size"}}
    definitions = {"size": {"type": "integer"}}
    record = {**RECORD, "properties": properties, "$defs": definitions}
    record["x-collection"] = {"sort": ["id", "name"]}
    write(tmp_path, "item/item.json", record)

    with pytest.raises(SchemaError, match=r"item_fields\.json: at /properties/size/\$ref"):
        load_schemas(tmp_path)


def test_the_payloads_of_the_blueprint_are_among_those_looked_at() -> None:
    names = {payload.__name__ for payload in REQUESTS}

    assert {"CreateItem", "UpdateItem", "ListItem", "GetItem"} <= names


@pytest.mark.parametrize("described", DESCRIBED)
def test_every_class_that_names_a_schema_file_has_one(described: type[Described]) -> None:
    assert described.schema_file in FILES
    assert described.contract() is KNOWN[described.schema_file]
    assert described.contract().validator
    assert described.__doc__


@pytest.mark.parametrize("payload", REQUESTS)
def test_every_payload_has_the_fields_of_its_file_with_the_same_defaults(
    payload: type[Payload],
) -> None:
    document = payload.contract().document
    fields = payload.model_fields
    # A record without references has no `include`.
    names = {field.alias or name for name, field in fields.items()} - {"include"}

    assert names == {*document["properties"]} - {"include"}
    assert {name for name, field in fields.items() if field.is_required()} == set(
        document.get("required", ())
    )
    assert {
        name: field.default
        for name, field in fields.items()
        if not field.is_required() and field.default is not None
    } == {
        name: schema["default"]
        for name, schema in document["properties"].items()
        if "default" in schema
    }


@pytest.mark.parametrize("payload", REQUESTS)
def test_every_payload_is_frozen_and_made_of_its_own_examples(payload: type[Payload]) -> None:
    for example in payload.contract().document["examples"]:
        made = payload.check(example)

        for field in payload.model_fields:
            with pytest.raises(ValidationError, match="frozen"):
                setattr(made, field, None)
        # An object of JSON has no hash.
        if not any(isinstance(value, dict | list) for value in vars(made).values()):
            assert hash(made) == hash(payload.check(example))


# Files that are broken.


@pytest.mark.parametrize("text", ["{", "", '{"a": 1,}', "{'a': 1}", '{"a": "\xff"}'])
def test_a_file_that_is_not_json_stops_the_start_and_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "item" / "broken.json"
    path.parent.mkdir()
    path.write_bytes(text.encode("latin-1"))

    with pytest.raises(SchemaError, match="not JSON") as caught:
        load_schemas(tmp_path)

    assert "item/broken.json" in str(caught.value)


@pytest.mark.parametrize("document", [[], "text", 5, None, True])
def test_a_file_that_holds_no_object_stops_the_start_and_is_named(
    tmp_path: Path, document: object
) -> None:
    write(tmp_path, "item/broken.json", document)

    with pytest.raises(SchemaError, match=r"item/broken\.json"):
        load_schemas(tmp_path)


@pytest.mark.parametrize("address", ["https://elsewhere.example/a.json", BASE + "b.json", 5, None])
def test_a_file_under_another_address_stops_the_start_and_is_named(
    tmp_path: Path, address: object
) -> None:
    write(tmp_path, "item/a.json", {"$id": address})

    with pytest.raises(SchemaError, match=r"item/a\.json: at /\$id: "):
        load_schemas(tmp_path)


def test_a_file_without_an_address_stops_the_start_and_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text("{}", encoding="utf-8")

    with pytest.raises(SchemaError, match=r"a\.json: at /\$id: "):
        load_schemas(tmp_path)


@pytest.mark.parametrize(
    ("document", "place"),
    [
        ({"type": "nope"}, "/type"),
        ({"properties": {"a/b": {"type": "nope"}}}, "/properties/a~1b/type"),
        ({"minLength": -1}, "/minLength"),
        ({"properties": {"a": {"pattern": "("}}}, "/properties/a/pattern"),
        ({"required": "name"}, "/required"),
    ],
)
def test_a_file_that_is_no_schema_stops_the_start_with_its_place(
    tmp_path: Path, document: dict[str, Any], place: str
) -> None:
    write(tmp_path, "item/a.json", document)

    with pytest.raises(SchemaError) as caught:
        load_schemas(tmp_path)

    assert f"item/a.json: at {place}: " in str(caught.value)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("reference", ["gone.json", "#/$defs/gone", BASE + "gone.json", "gone%"])
def test_a_reference_to_nothing_stops_the_start_with_its_file(
    tmp_path: Path, reference: str
) -> None:
    write(tmp_path, "item/whole.json", {"type": "string"})
    write(tmp_path, "item/a.json", {"properties": {"b": {"$ref": reference}}})

    with pytest.raises(SchemaError) as caught:
        load_schemas(tmp_path)

    assert "item/a.json" in str(caught.value)
    assert "gone" in str(caught.value)


def test_a_relative_reference_between_files_is_followed(tmp_path: Path) -> None:
    write(tmp_path, "common/name.json", {"minLength": 2})
    write(tmp_path, "item/a.json", {"properties": {"name": {"$ref": "../common/name.json"}}})

    faults = load_schemas(tmp_path)["item/a.json"].faults({"name": "f"})

    assert faults == [Fault("/name", "minLength", "'f' is too short")]


PATTERN = {"pattern": "^a+$", "x-pattern-message": "is not all `a`"}
PLAIN_PATTERN = {"pattern": "^a+$"}


@pytest.mark.parametrize(
    ("schema", "value", "pointer", "message"),
    [
        (PATTERN, "b", "", "'b' is not all `a`"),
        ({"items": PATTERN}, ["a", "b"], "/1", "'b' is not all `a`"),
        ({"anyOf": [PATTERN, {"type": "string"}]}, 7, None, None),
        (
            {"$defs": {"a": PATTERN}, "properties": {"x": {"$ref": "#/$defs/a"}}},
            {"x": "b"},
            "/x",
            "'b' is not all `a`",
        ),
        (PLAIN_PATTERN, "b", "", "'b' does not match '^a+$'"),
    ],
)
def test_a_pattern_may_have_a_message_of_its_own(
    tmp_path: Path, schema: dict[str, Any], value: object, pointer: str | None, message: str | None
) -> None:
    write(tmp_path, "item/a.json", schema)
    faults = load_schemas(tmp_path)["item/a.json"].faults(value)

    assert faults == ([] if message is None else [Fault(pointer or "", "pattern", message)])


def test_a_text_that_is_too_short_has_no_other_fault(tmp_path: Path) -> None:
    write(tmp_path, "item/a.json", {"minLength": 2, "pattern": "^aa"})
    schema = load_schemas(tmp_path)["item/a.json"]

    assert [fault.keyword for fault in schema.faults("b")] == ["minLength"]
    assert [fault.keyword for fault in schema.faults("bb")] == ["pattern"]


def test_the_files_are_read_once() -> None:
    assert load_schemas() is load_schemas()
