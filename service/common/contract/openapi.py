"""The shared parts of the published contract: schemas, headers, errors.

The document is OpenAPI 3.1; the schema files of bodies are its components, verbatim except for
`$id`, `$schema` and references. Queries and headers are described as parameters.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from operator import attrgetter
from typing import Any
from urllib.parse import urljoin

from service.common.contract.parts import (
    ALWAYS,
    EVERYWHERE,
    FIRST_ERROR,
    HEADERS,
    JSON,
    PARAMETERS,
    WITH_BODY,
    Document,
    header_references,
    json_content,
)
from service.common.contract.validation import BASE, Schema
from service.common.errors import Row, error_rows, rows_by_type

SCHEMAS = "#/components/schemas/"
# Where a word begins in `InvalidAPIRequest`.
WORD_START = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


def components(files: Mapping[str, Schema]) -> Document:
    """Return the components: the schema files and what all operations refer to."""
    titles = {BASE + name: file.document["title"] for name, file in files.items()}
    schemas = {file.document["title"]: _component(file.document, titles) for file in files.values()}
    types = schemas["ErrorType"]
    types |= _error_types(rows_by_type(), types["description"])
    known = {*ALWAYS, "ETag", *(name for row in error_rows() for name in row.headers)}
    rows = groupby((row for row in error_rows() if row.response), attrgetter("response"))
    return {
        "schemas": schemas,
        "responses": {name: _error([*group]) for name, group in rows},
        "headers": {name: part for name, part in HEADERS.items() if name in known},
        "parameters": PARAMETERS,
    }


def without_unused(document: Document) -> Document:
    """Return the document without the schemas that nothing in it refers to."""
    schemas = document["components"]["schemas"]
    others = {**document["components"], "schemas": {}}
    used: set[str] = set()
    new = _referenced([document["paths"], others])
    while new:
        used |= new
        new = _referenced([schemas[title] for title in new]) - used
    kept = {title: schema for title, schema in schemas.items() if title in used}
    return {**document, "components": others | {"schemas": kept}}


def responses(
    operation: Document, method: str, *, guarded: bool, checked: bool, of_one: bool
) -> Document:
    """Return every response of an operation: those that its view declares or middleware adds."""
    declared = {int(status): answer for status, answer in operation["responses"].items()}
    found = {str(status): declared[status] for status in declared if status < FIRST_ERROR}
    names = {parameter["name"] for parameter in operation["parameters"]}
    if method == "get" and "ETag" in found.get("200", {}).get("headers", {}):
        headers = header_references([*ALWAYS, "ETag"])
        found["304"] = {
            "description": "The record still has one of these entity tags.",
            "headers": headers,
        }
    statuses = {
        *EVERYWHERE,
        *((401,) if guarded else ()),
        # Public paths ignore the query string, and have no body.
        *((422,) if checked else ()),
        *(status for status in declared if status >= FIRST_ERROR),
        *((404,) if of_one else ()),
        *((412,) if "If-Match" in names else ()),
        *(WITH_BODY if "requestBody" in operation else ()),
    }
    components = {row.status: row.response for row in error_rows() if row.response}
    return found | {
        str(status): {"$ref": f"#/components/responses/{components[status]}"}
        for status in sorted(statuses)
    }


def parameters(document: Document, place: str) -> Iterator[Document]:
    """Yield each property of a schema as a parameter in `query` or `header`."""
    for name, schema in document["properties"].items():
        # In a query, a list is one string, separated by commas.
        style = {"style": "form", "explode": False} if schema["type"] == "array" else {}
        yield {
            "name": name,
            "in": place,
            "description": schema["description"],
            "required": name in document.get("required", ()),
            "schema": {key: value for key, value in schema.items() if key != "description"},
            **style,
        }


def headers(document: Document | None = None) -> Document:
    """Return the headers of a response: the common ones, and each property of a schema."""
    found = {} if document is None else {one["name"]: one for one in parameters(document, "")}
    own = {
        name: {key: one[key] for key in ("description", "required", "schema")}
        for name, one in found.items()
    }
    return header_references(ALWAYS) | own


def link(paths: Document) -> None:
    """Link the creation of a record to the operations on it, by the id in the response."""
    for path, operations in paths.items():
        of_one = paths.get(f"{path}/{{id}}", {})
        if "201" in operations.get("post", {}).get("responses", {}):
            operations["post"]["responses"]["201"]["links"] = {
                operation["operationId"]: {
                    "operationId": operation["operationId"],
                    "parameters": {"id": "$response.body#/id"},
                }
                for operation in of_one.values()
            }


def below(prefix: str, document: Any) -> Any:
    """Return the document with `prefix` in the patterns of URLs."""
    if isinstance(document, list):
        return [below(prefix, item) for item in document]
    if not isinstance(document, dict):
        return document
    found = {name: below(prefix, item) for name, item in document.items()}
    pattern = found.get("pattern")
    if isinstance(pattern, str) and pattern.startswith("^/"):
        found["pattern"] = "^" + prefix.replace(".", r"\.") + pattern.removeprefix("^")
    return found


def _error_types(types: Mapping[str, Sequence[Row]], description: str) -> Document:
    lines = [
        f"- `{name}`: " + " ".join(f"{row.status}: {row.when} {row.action}" for row in rows)
        for name, rows in types.items()
    ]
    return {
        "description": "\n".join([description, "", *lines]),
        "enum": [*types],
        # Generators of clients name the values so.
        "x-enum-varnames": [WORD_START.sub("_", name).upper() for name in types],
    }


def _error(rows: Sequence[Row]) -> Document:
    """Return the answer of one status; its examples are those of the first row."""
    first = rows[0]
    facts = {"request_id": "5d1d9a4f0b5c4c5d8a8f6a6f3a1f0c11"}
    envelope = {"code": first.status, "type": first.type, "message": first.when}
    names = [name for row in rows for name in row.headers if name in HEADERS]
    return {
        "description": " ".join(row.when for row in rows),
        "headers": header_references([*ALWAYS, *names]),
        "content": {JSON: json_content("Error")[JSON] | {"example": {"error": envelope | facts}}},
    }


def _component(value: Any, titles: Mapping[str, str], base: str = "") -> Any:
    if isinstance(value, list):
        return [_component(item, titles, base) for item in value]
    if not isinstance(value, dict):
        return value
    base = value.get("$id", base)
    return {
        name: _reference(urljoin(base, item), titles)
        if name == "$ref"
        else _component(item, titles, base)
        for name, item in value.items()
        if name not in {"$id", "$schema"}
    }


def _referenced(value: Any) -> set[str]:
    if isinstance(value, list):
        return set().union(*map(_referenced, value))
    if not isinstance(value, dict):
        return set()
    reference = value.get("$ref", "")
    if isinstance(reference, str) and reference.startswith(SCHEMAS):
        return {reference.removeprefix(SCHEMAS).partition("/")[0]}
    return _referenced([*value.values()])


def _reference(address: str, titles: Mapping[str, str]) -> str:
    file, _, place = address.partition("#")
    return f"{SCHEMAS}{titles[file]}{place}"
