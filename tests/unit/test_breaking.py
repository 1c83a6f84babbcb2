"""Breaking changes of the contract."""

import json
from copy import deepcopy
from typing import Any

import pytest

from ops.checks.breaking import breaks
from ops.checks.contract import RELEASED, unannounced

Document = dict[str, Any]


@pytest.fixture
def old() -> Document:
    return {
        "paths": {
            "/things": {
                "get": {
                    "operationId": "list",
                    "parameters": [
                        {"name": "limit", "in": "query", "schema": {"type": "integer"}},
                        {"$ref": "#/components/parameters/id"},
                    ],
                    "responses": {"200": {"$ref": "#/components/responses/ok"}, "404": {}},
                },
                "post": {
                    "operationId": "create",
                    "parameters": [],
                    "requestBody": {
                        "content": {
                            "application/json": {"schema": {"$ref": "#/components/schemas/new"}},
                            "text/csv": {"schema": {}},
                        }
                    },
                    "responses": {"201": {}},
                },
            }
        },
        "components": {
            "parameters": {"id": {"name": "X-ID", "in": "header", "schema": {"type": "string"}}},
            "responses": {
                "ok": {
                    "headers": {"Link": {"required": True, "schema": {"pattern": "a"}}},
                    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/a"}}},
                }
            },
            "schemas": {
                "a": {"type": "array", "items": {"$ref": "#/components/schemas/thing"}},
                "thing": {
                    "type": "object",
                    "required": ["id", "name"],
                    "properties": {
                        "id": {"type": "integer"},
                        "name": {"type": "string", "pattern": "a"},
                        "kind": {"enum": ["a", "b"]},
                    },
                },
                "new": {
                    "type": "object",
                    "required": ["name"],
                    "properties": {
                        "name": {"type": "string", "minLength": 2, "maxLength": 9},
                        "kind": {"enum": ["a", "b"]},
                        "size": {"type": "number"},
                    },
                },
            },
        },
    }


def changed(document: Document, path: str, value: Any) -> Document:
    """Return a copy with another value at a path; None: with nothing there."""
    copy = deepcopy(document)
    *way, last = path.split(" ")
    part: Any = copy
    for name in way:
        part = part[int(name) if isinstance(part, list) else name]
    if isinstance(part, list):
        part[int(last) :] = [] if value is None else [value]
    elif value is None:
        del part[last]
    else:
        part[last] = value
    return copy


NEW = "components schemas new"
GET = "paths /things get"
POST = "paths /things post"
BROKEN: dict[str, tuple[str, Any, list[str]]] = {
    "a path": ("paths /things", None, ["GET /things", "POST /things"]),
    "a method": (POST, None, ["POST /things"]),
    "an operationId": (f"{GET} operationId", "other", ["GET /things operationId"]),
    "a status": (f"{GET} responses 200", None, ["GET /things 200"]),
    "an error": (f"{GET} responses 404", None, ["GET /things 404"]),
    "who may call": ("security", [{"key": []}], ["security"]),
    "who may call one": (f"{GET} security", [], ["GET /things security"]),
    "how a list is sent": (f"{GET} parameters 0 explode", False, ["GET /things limit"]),
    "a header that is always there": (
        "components responses ok headers Link required",
        False,
        ["GET /things 200 Link"],
    ),
    "what a header is like": (
        "components responses ok headers Link schema pattern",
        "b",
        ["GET /things 200 Link pattern"],
    ),
    "properties that were let pass": (
        f"{NEW} additionalProperties",
        False,
        ["POST /things body additionalProperties"],
    ),
    "a further schema": (
        f"{NEW} allOf",
        [{"required": ["kind"]}],
        ["POST /things body allOf"],
    ),
    "a step": (f"{NEW} properties size multipleOf", 2, ["POST /things body size multipleOf"]),
    "what an answer is like": (
        "components schemas thing properties name pattern",
        "b",
        ["GET /things 200 items name pattern"],
    ),
    "another option of an answer": (
        "components schemas thing properties kind enum",
        ["a", "b", "c"],
        ["GET /things 200 items kind"],
    ),
    "a response header": (
        "components responses ok headers Link",
        None,
        ["GET /things 200 Link"],
    ),
    "a response's media type": (
        "components responses ok content application/json",
        None,
        ["GET /things 200 application/json"],
    ),
    "a response property": (
        "components schemas thing properties name",
        None,
        ["GET /things 200 items name"],
    ),
    "a property that is always there": (
        "components schemas thing required",
        ["id"],
        ["GET /things 200 items name"],
    ),
    "a response property's type": (
        "components schemas thing properties id type",
        "string",
        ["GET /things 200 items id"],
    ),
    "a response property's type, widened": (
        "components schemas thing properties id type",
        ["integer", "null"],
        ["GET /things 200 items id"],
    ),
    "a parameter": (f"{GET} parameters 1", None, ["GET /things X-ID"]),
    "a parameter's place": ("components parameters id in", "query", ["GET /things X-ID"]),
    "a parameter that is required now": (
        "components parameters id required",
        True,
        ["GET /things X-ID"],
    ),
    "a new parameter that is required": (
        f"{POST} parameters 0",
        {"name": "key", "in": "query", "required": True, "schema": {}},
        ["POST /things key"],
    ),
    "a parameter's type": (
        f"{GET} parameters 0 schema type",
        "boolean",
        ["GET /things limit"],
    ),
    "a body's media type": (
        f"{POST} requestBody content text/csv",
        None,
        ["POST /things text/csv"],
    ),
    "a property of a body": (
        f"{NEW} properties size",
        None,
        ["POST /things body size"],
    ),
    "a property that is required now": (
        f"{NEW} required",
        ["name", "kind"],
        ["POST /things body kind"],
    ),
    "a number that must be whole now": (
        f"{NEW} properties size type",
        "integer",
        ["POST /things body size"],
    ),
    "an option": (f"{NEW} properties kind enum", ["a"], ["POST /things body kind"]),
    "options where there was every text": (
        f"{NEW} properties name enum",
        ["a"],
        ["POST /things body name"],
    ),
    "a longer minimum": (
        f"{NEW} properties name minLength",
        3,
        ["POST /things body name minLength"],
    ),
    "a shorter maximum": (
        f"{NEW} properties name maxLength",
        8,
        ["POST /things body name maxLength"],
    ),
    "a new bound": (f"{NEW} properties size minimum", 0, ["POST /things body size minimum"]),
    "a new pattern": (f"{NEW} properties name pattern", "a", ["POST /things body name pattern"]),
}
KEPT = {
    "a new response property": ("components schemas thing properties more", {"type": "string"}),
    "a new property": (f"{NEW} properties more", {"type": "string"}),
    "a property that is optional now": (f"{NEW} required", []),
    "a wider type": (f"{NEW} properties name type", ["string", "null"]),
    "a new option": (f"{NEW} properties kind enum", ["a", "b", "c"]),
    "a longer maximum": (f"{NEW} properties name maxLength", 10),
    "a shorter minimum": (f"{NEW} properties name minLength", 1),
    "no bound any more": (f"{NEW} properties name maxLength", None),
    "a new parameter": (
        f"{POST} parameters 0",
        {"name": "more", "in": "query", "schema": {"type": "string"}},
    ),
    "a new path": ("paths /more", {}),
    "other words": (f"{GET} description", "Other words."),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_breaking_change_is_reported(old: Document, name: str) -> None:
    path, value, expected = BROKEN[name]

    assert breaks(old, changed(old, path, value)) == expected


@pytest.mark.parametrize("name", KEPT)
def test_a_compatible_change_is_not_reported(old: Document, name: str) -> None:
    path, value = KEPT[name]
    new = changed(old, path, value)

    assert new != old
    assert breaks(old, new) == []


def test_other_words_of_an_option_break_nobody(old: Document) -> None:
    path = "components schemas thing properties name oneOf"
    old = changed(old, path, [{"const": "a", "description": "One."}])

    assert breaks(old, changed(old, path, [{"const": "a", "description": "Another."}])) == []
    assert breaks(old, changed(old, path, [{"const": "b", "description": "One."}])) != []


def test_a_body_that_becomes_required_is_a_breaking_change(old: Document) -> None:
    body = {"required": True, "content": {}}

    assert breaks(old, changed(old, f"{GET} requestBody", body)) == ["GET /things body"]


def test_the_changelog_lets_a_break_pass(old: Document) -> None:
    new = changed(old, POST, None)
    named = "# Changelog\n\n## [Unreleased]\n\n### Removed\n\n- `POST /things`.\n\n## [1.0.0]\n"
    earlier = "# Changelog\n\n## [Unreleased]\n\n## [1.0.0]\n\n- `POST /things`.\n"

    assert unannounced(old, new, named) == []
    [fault] = unannounced(old, new, earlier)
    assert "`POST /things`" in fault


@pytest.mark.parametrize(("ending", "count"), [("* /things", 0), ("* /thing", 1), ("*", 1)])
def test_what_many_operations_share_is_named_by_its_end(
    old: Document, ending: str, count: int
) -> None:
    new = changed(old, POST, None)
    changelog = f"## [Unreleased]\n\n- `{ending}`.\n"

    assert len(unannounced(old, new, changelog)) == count


def test_the_released_contract_would_be_defended() -> None:
    released = json.loads(RELEASED.read_bytes())
    new = changed(released, "paths", {})

    assert breaks(released, new) == [
        f"{method.upper()} {path}"
        for path, operations in released["paths"].items()
        for method in operations
    ]
