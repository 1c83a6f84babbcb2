"""OpenAPI: the contract at `/openapi.json`, from what the views declare."""

from functools import cached_property
from typing import Any
from urllib.parse import urljoin

from quart import Quart
from quart_schema import Info, OpenAPIProvider, QuartSchema
from werkzeug.routing import BaseConverter, Rule

from service.common.middleware.routing import RecordId
from service.common.validation import BASE, load_schemas


def register(app: Quart) -> None:
    """Serve the contract."""
    QuartSchema(
        app,
        info=Info(title="Flusk", version="0.1.0", description="A layered JSON API on PostgreSQL."),
        openapi_provider_class=Provider,
        swagger_ui_path=None,
        redoc_ui_path=None,
        scalar_ui_path=None,
        security_schemes={
            "bearer": {"type": "http", "scheme": "bearer"},
            "key": {"type": "apiKey", "name": "X-API-Key", "in_": "header"},
        },
        security=[{"bearer": []}, {"key": []}],
    )


# A view declares with classes of `Payload`; quart-schema's own type is wider.
Model = Any


class Provider(OpenAPIProvider):
    """quart-schema's document, with the schema files as its components."""

    def schema(self) -> dict[str, Any]:
        """Return the document, made once: everybody may ask for it, and routes do not change."""
        return self._document

    @cached_property
    def _document(self) -> dict[str, Any]:
        document = super().schema()
        titles = {BASE + name: file.document["title"] for name, file in load_schemas().items()}
        document["components"]["schemas"] = {
            file.document["title"]: _component(file.document, titles)
            for file in load_schemas().values()
        }
        return document

    def build_path_parameter(self, name: str, converter: BaseConverter) -> dict[str, Any]:
        """Describe an id as what it is: a number from 0."""
        parameter = super().build_path_parameter(name, converter)
        if isinstance(converter, RecordId):
            parameter["schema"] = {"type": "integer", "minimum": 0}
        return parameter

    def build_querystring_parameters(
        self, model: Model
    ) -> tuple[list[dict[str, Any]], dict[str, Any]]:
        """Describe each property of the file as a parameter; a list is one text with commas."""
        document = model.contract().document
        return [
            {
                "name": name,
                "in": "query",
                "description": schema["description"],
                "required": name in document.get("required", ()),
                "schema": schema,
                **({"style": "form", "explode": False} if schema["type"] == "array" else {}),
            }
            for name, schema in document["properties"].items()
        ], {}

    def build_request_body(
        self, model: Model, source: object
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Refer to the file."""
        del source
        return {"required": True, "content": _content(model)}, {}

    def build_response_object(
        self, model: Model, headers_model: Model | None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Refer to the file."""
        del headers_model
        return {
            "description": model.contract().document["description"],
            "content": _content(model),
        }, {}

    def build_paths(self, rule: Rule) -> tuple[dict[str, Any], dict[str, Any]]:
        """Add the envelope, which every operation can answer."""
        paths, components = super().build_paths(rule)
        content = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
        for operations in paths.values():
            for operation in operations.values():
                responses = {
                    str(status): answer for status, answer in operation["responses"].items()
                }
                responses["default"] = {"description": "An error.", "content": content}
                operation["responses"] = responses
        return paths, components


def _content(model: Model) -> dict[str, Any]:
    title = model.contract().document["title"]
    return {"application/json": {"schema": {"$ref": f"#/components/schemas/{title}"}}}


def _component(value: Any, titles: dict[str, str], base: str = "") -> Any:
    """Return a schema file as a component: verbatim but for `$id`, `$schema` and references."""
    if isinstance(value, list):
        return [_component(item, titles, base) for item in value]
    if not isinstance(value, dict):
        return value
    base = value.get("$id", base)
    return {
        name: f"#/components/schemas/{titles[urljoin(base, item)]}"
        if name == "$ref"
        else _component(item, titles, base)
        for name, item in value.items()
        if name not in {"$id", "$schema"}
    }
