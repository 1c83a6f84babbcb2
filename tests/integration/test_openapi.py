"""The contract at `/openapi.json`: of the service, and of the application of the tests."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator
from quart import Blueprint, Quart

import service
from service.common.contract.parts import BEFORE_THE_APPLICATION
from service.common.errors import error_rows, rows_by_type
from service.common.web import App
from service.settings import Settings
from tests.app import create_app

Operation = dict[str, Any]


@pytest.fixture(
    scope="module",
    params=[service.create_app, create_app],
    ids=["the service", "the tests"],
)
def app(request: pytest.FixtureRequest) -> App:
    app: App = request.param(Settings())
    return app


@pytest.fixture
async def document(app: App) -> dict[str, Any]:
    return await read(app)


async def read(app: App) -> dict[str, Any]:
    response = await app.test_client().get("/openapi.json")
    assert response.status_code == 200
    body: dict[str, Any] = await response.get_json()
    return body


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, Operation]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield path, method, operation


def objects(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
    for child in value.values() if isinstance(value, dict) else value:
        if isinstance(child, dict | list):
            yield from objects(child)


async def test_it_is_openapi_3_1(document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.1.")
    assert list(OpenAPIV31SpecValidator(document).iter_errors()) == []


async def test_every_route_is_described(document: dict[str, Any], app: Quart) -> None:
    described = {(path, method.upper()) for path, method, _ in operations(document)}
    served = {
        (rule.rule.replace("<id:id>", "{id}"), method)
        for rule in app.url_map.iter_rules()
        for method in rule.methods or ()
        if method not in {"HEAD", "OPTIONS"}
        and rule.rule != "/openapi.json"
        and not rule.rule.startswith("/docs")
    }

    assert described == served


async def test_each_schema_file_of_a_body_is_a_component_word_for_word(
    document: dict[str, Any], app: App
) -> None:
    components = document["components"]["schemas"]
    files = {file.document["title"]: file.document for file in app.schemas.values()}
    titles = {name.rpartition("/")[2]: one.document["title"] for name, one in app.schemas.items()}

    # The types of errors are those of the catalogue.
    types = components.pop("ErrorType")
    pattern = components["Problem"]["properties"]["type"].pop("pattern")
    assert types["enum"] == [*rows_by_type()]
    assert "INVALID_API_REQUEST" in types["x-enum-varnames"]
    for name in rows_by_type():
        assert f"`{name}`" in types["description"]
        assert re.search(pattern, f"/docs/errors#{name}")
    for title, component in components.items():
        expected = {
            name: part for name, part in files[title].items() if name not in {"$id", "$schema"}
        }
        text = re.sub(
            r'"\$ref": "(?:\.\./\w+/)?(\w+\.json)#?',
            lambda found: f'"$ref": "#/components/schemas/{titles[found[1]]}',
            json.dumps(expected),
        )
        assert component == json.loads(text)


async def test_what_operations_share_is_a_component_and_nothing_else_is(
    document: dict[str, Any], app: App
) -> None:
    components = document["components"]["schemas"]
    references = {found["$ref"] for found in objects(document) if "$ref" in found}
    parts = {title: [*objects(component)] for title, component in components.items()}

    assert {f"#/components/schemas/{title}" for title in components} <= references
    # Those of queries and headers are described as parameters.
    unpublished = {file.document["title"] for file in app.schemas.values()} - {*components}
    assert {"Preconditions", "RecordHeaders"} <= unpublished
    assert ("Item" in components) == ({"ListItem", "GetItem"} <= unpublished)
    # Many generators follow no other references, and make an odd name for an object in another.
    assert [one for one in references if not re.fullmatch(r"#/components/\w+/[\w-]+", one)] == []
    for title, (_, *inner) in parts.items():
        assert [part for part in inner if part.get("type") == "object"] == [], title


async def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    references = [found["$ref"] for found in objects(document) if "$ref" in found]

    assert references
    for reference in references:
        target: Any = document
        for part in reference.removeprefix("#/").split("/"):
            target = target[part]
        assert target


async def test_every_operation_has_an_id_of_its_own_and_words(document: dict[str, Any]) -> None:
    found = [operation for _, _, operation in operations(document)]
    tags = {tag["name"] for tag in document["tags"]}

    assert len({operation["operationId"] for operation in found}) == len(found)
    for operation in found:
        assert operation["summary"]
        assert operation["description"]
        assert set(operation["tags"]) <= tags


async def test_every_operation_has_each_error_that_it_can_answer(
    document: dict[str, Any], app: App
) -> None:
    for path, _, operation in operations(document):
        errors = {int(status) for status in operation["responses"] if status >= "400"}

        assert {400, 413, 415, 429, 431, 500, 503, 504} <= errors
        assert errors <= {row.status for row in error_rows() if row.response}
        assert (401 in errors) == (422 in errors) == (path not in app.public_paths)
        assert (404 in errors) == ("{id}" in path)
        assert (408 in errors) == ("requestBody" in operation)
        assert ("security" in operation) == (path in app.public_paths)


async def test_every_answer_names_its_request_id(document: dict[str, Any]) -> None:
    shared = document["components"]["responses"]
    for _, _, operation in operations(document):
        for answer in operation["responses"].values():
            name = answer.get("$ref", "").removeprefix("#/components/responses/")
            assert "X-Request-ID" in shared.get(name, answer)["headers"]


async def test_every_error_of_the_service_has_both_media_types(document: dict[str, Any]) -> None:
    for name, answer in document["components"]["responses"].items():
        media_types = {"application/json", "application/problem+json"}
        # nginx, or the server before the application, answers these.
        early = name in {"TooManyRequests", "HeadTooLarge"}
        expected = {"application/json"} if early else media_types
        assert set(answer["content"]) == expected


async def test_a_new_record_leads_to_what_can_be_done_with_it() -> None:
    document = await read(create_app(Settings()))
    links = document["paths"]["/item"]["post"]["responses"]["201"]["links"]
    of_one = document["paths"]["/item/{id}"].values()

    assert set(links) == {operation["operationId"] for operation in of_one}


async def test_a_merge_patch_is_described() -> None:
    document = await read(create_app(Settings()))
    one = document["paths"]["/item/{id}"]

    assert "application/merge-patch+json" in one["patch"]["requestBody"]["content"]
    assert "application/merge-patch+json" not in one["put"]["requestBody"]["content"]


async def test_every_example_is_valid(document: dict[str, Any], app: App) -> None:
    examples = [
        (media["schema"]["$ref"], media["example"])
        for answer in document["components"]["responses"].values()
        for media in answer["content"].values()
    ]
    files = {file.document["title"]: file for file in app.schemas.values()}

    statuses = {row.status for row in error_rows() if row.response}
    assert len(examples) == 2 * len(statuses) - len(BEFORE_THE_APPLICATION)
    for reference, example in examples:
        assert files[reference.rpartition("/")[2]].faults(example) == []


async def test_routes_of_any_origin_are_in_the_contract(settings: Settings) -> None:
    app = create_app(settings)
    # Without a package, whose docstring describes the others.
    blueprint = Blueprint("elsewhere", "elsewhere")

    async def hello() -> dict[str, str]:
        """Greet."""
        return {}

    @app.get("/a")
    @app.get("/b")
    async def undocumented() -> dict[str, str]:
        return {}

    for rule in ("/first", "/second"):
        app.add_url_rule(rule, rule.strip("/"), hello)
        blueprint.add_url_rule(f"/elsewhere{rule}", rule.strip("/"), hello)
    app.register_blueprint(blueprint)
    found = [*operations(await read(app))]

    own = {path: one for path, _, one in found if one.get("summary") == "Greet."}
    assert {path: one["tags"] for path, one in own.items()} == {
        "/elsewhere/first": ["elsewhere"],
        "/elsewhere/second": ["elsewhere"],
        "/first": ["first"],
        "/second": ["second"],
    }
    ids = [one["operationId"] for _, _, one in found]
    assert len(ids) == len({*ids})
    assert all(one["description"] for _, _, one in found)
