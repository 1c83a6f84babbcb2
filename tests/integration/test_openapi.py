"""The contract at `/openapi.json`."""

import json
from typing import Any

import pytest
from quart import Quart

from service.common.validation import load_schemas
from tests.client import Client


@pytest.fixture
async def document(client: Client) -> dict[str, Any]:
    response = await client.get("/openapi.json")
    assert response.status_code == 200
    body: dict[str, Any] = await response.get_json()
    return body


async def test_every_route_is_described(document: dict[str, Any], app: Quart) -> None:
    described = {
        (path, method.upper())
        for path, operations in document["paths"].items()
        for method in operations
    }
    served = {
        (rule.rule.replace("<id:id>", "{id}"), method)
        for rule in app.url_map.iter_rules()
        for method in rule.methods or ()
        if method not in {"HEAD", "OPTIONS"} and rule.rule != "/openapi.json"
    }

    assert described == served


async def test_each_schema_file_is_a_component_word_for_word(document: dict[str, Any]) -> None:
    components = document["components"]["schemas"]

    for file in load_schemas().values():
        component = components[file.document["title"]]
        assert component.keys() == file.document.keys() - {"$id", "$schema"}
        assert component.get("properties") == file.document.get("properties")


async def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    text = json.dumps(document)
    references = {part.split('"')[0] for part in text.split('"$ref": "')[1:]}

    assert references
    for reference in references:
        assert reference.removeprefix("#/components/schemas/") in document["components"]["schemas"]


async def test_every_operation_has_an_id_of_its_own_and_errors(document: dict[str, Any]) -> None:
    operations = [one for path in document["paths"].values() for one in path.values()]
    ids = [operation["operationId"] for operation in operations]

    assert len(set(ids)) == len(ids)
    assert all("default" in operation["responses"] for operation in operations)
    assert all(operation["summary"] for operation in operations)
