"""OpenAPI: the contract at `/openapi.json`, generated from the views' declarations."""

import inspect
import re
import sys
from collections.abc import Iterator
from functools import cached_property
from typing import Any, ClassVar, cast

from quart_schema import Info, OpenAPIProvider, QuartSchema
from werkzeug.routing import BaseConverter, Rule

from service.common.contract import JSON, REQUEST_ID, add_content, json_content
from service.common.contract import openapi as contract
from service.common.middleware.content_type import MERGE_PATCH
from service.common.web import App, RecordId, is_public, public
from service.name import TITLE

# A view declares with classes of `Payload`; quart-schema's own type is wider.
Model = Any
Operation = dict[str, Any]

public(QuartSchema.openapi)


def register(app: App, prefix: str) -> None:
    """Serve the contract of a service that is published below `prefix`; empty is the root."""

    class PrefixedProvider(Provider):
        path_prefix = prefix

    json = app.json
    QuartSchema(
        app,
        info=Info(
            title=TITLE,
            version="0.1.0",
            description="A layered JSON API on PostgreSQL.",
            license={"name": "MIT", "identifier": "MIT"},  # type: ignore[arg-type]  # It makes a License of it.
        ),
        openapi_provider_class=PrefixedProvider,
        swagger_ui_path=None,
        redoc_ui_path=None,
        scalar_ui_path=None,
    )
    # quart-schema would validate each response with pydantic; they are plain values already.
    app.json = json
    app.__dict__.pop("make_response", None)


class Provider(OpenAPIProvider):
    """quart-schema's document, corrected, with the schema files as its components."""

    path_prefix: ClassVar[str]

    def schema(self) -> dict[str, Any]:
        """Return the document, built once: it is public, and routes do not change."""
        return self._document

    @cached_property
    def _document(self) -> dict[str, Any]:
        app = cast("App", self._app)
        document = super().schema()
        document["paths"] = dict(sorted(document["paths"].items()))
        if app.security_schemes:
            document["components"]["securitySchemes"] = app.security_schemes
            document["security"] = [{name: []} for name in app.security_schemes]
        document["components"] |= self._components
        # Relative to the document's URL, and so below any prefix.
        document["servers"] = [{"url": "."}]
        document["tags"] = list(self._tags(document["paths"]))
        contract.link(document["paths"])
        for add_to in app.contract_additions:
            add_to(document)
        document = contract.without_unused(document)
        return contract.below(self.path_prefix, document) if self.path_prefix else document

    @cached_property
    def _operation_ids(self) -> set[str]:
        """The ids of the operations so far."""
        return set()

    @cached_property
    def _components(self) -> dict[str, Any]:
        return contract.components(cast("App", self._app).schemas)

    def _schema(self, model: Model) -> dict[str, Any]:
        schema: dict[str, Any] = self._components["schemas"][_title(model)]
        return schema

    def _tags(self, paths: dict[str, Any]) -> Iterator[dict[str, str]]:
        used = {tag for path in paths.values() for one in path.values() for tag in one["tags"]}
        for name in sorted(used):
            module = self._app.blueprints[name].import_name if name in self._app.blueprints else ""
            package = sys.modules.get(module.rpartition(".")[0])
            yield {"name": name, "description": (package and inspect.getdoc(package)) or name}

    def generate_methods(self, rule: Rule) -> list[str]:
        """Return the methods sorted: the order of a set varies."""
        return sorted(super().generate_methods(rule))

    def _operation_id(self, method: str, rule: Rule) -> str:
        """Return the name of the view, and of the method if the view has several; not of PATCH.

        If another operation has it, the path is added.
        """
        name: str = rule.endpoint.rpartition(".")[2]
        rules = self._app.url_map.iter_rules(rule.endpoint)
        several = sum(len(self.generate_methods(rule)) for rule in rules) > 1
        if several and method.lower() != "patch":
            name = f"{name}_{method.lower()}"
        if name in self._operation_ids:
            name += re.sub(r"\W+", "_", rule.rule).rstrip("_")
        self._operation_ids.add(name)
        return name

    def build_path_parameter(self, name: str, converter: BaseConverter) -> dict[str, Any]:
        """Describe an id as an integer from 0."""
        parameter = super().build_path_parameter(name, converter)
        if isinstance(converter, RecordId):
            parameter["description"] = "The id of the record."
            parameter["schema"] = {"type": "integer", "minimum": 0, "examples": [7]}
        return parameter

    def build_querystring_parameters(self, model: Model) -> tuple[list[Operation], Operation]:
        """Describe each property of the schema as a parameter."""
        return list(contract.parameters(self._schema(model), "query")), {}

    def build_headers_parameters(self, model: Model) -> tuple[list[Operation], Operation]:
        """Describe each property of the schema as a parameter."""
        return list(contract.parameters(self._schema(model), "header")), {}

    def build_request_body(self, model: Model, source: object) -> tuple[Operation, Operation]:
        """Return a reference to the schema file."""
        del source
        return {"required": True, "content": json_content(_title(model))}, {}

    def build_response_object(
        self, model: Model, headers_model: Model | None
    ) -> tuple[Operation, Operation]:
        """Return a reference to the schema file."""
        return {
            "description": model.contract().document["description"],
            "headers": contract.headers(headers_model and self._schema(headers_model)),
            "content": json_content(_title(model)),
        }, {}

    def build_paths(self, rule: Rule) -> tuple[dict[str, Any], dict[str, Any]]:
        """Add the effects of middleware to quart-schema's operations."""
        app = cast("App", self._app)
        paths, components = super().build_paths(rule)
        [operations] = paths.values()
        for method, operation in operations.items():
            operation["operationId"] = self._operation_id(method, rule)
            operation["tags"] = [rule.endpoint.partition(".")[0]]
            view = app.view_functions[rule.endpoint]
            needs_key = bool(app.security_schemes) and not is_public(view)
            if app.security_schemes and not needs_key:
                operation["security"] = []
            operation["responses"] = contract.responses(
                operation,
                method,
                guarded=needs_key,
                checked=not is_public(view),
                of_one=bool(rule.arguments),
            )
            shared = ["If-None-Match"] if "304" in operation["responses"] else []
            operation["parameters"] = [
                *operation["parameters"],
                *({"$ref": f"#/components/parameters/{name}"} for name in [*shared, REQUEST_ID]),
            ]
            if method == "patch":
                body = operation["requestBody"]["content"]
                body = body | {MERGE_PATCH: body[JSON]}
                operation["requestBody"] = {"required": True, "content": body}
            add_content(operation, view)
            # A view without a docstring has neither.
            operation.setdefault("summary", operation["operationId"])
            operation["description"] = operation.get("description") or operation["summary"]
        return paths, components


def _title(model: Model) -> str:
    return str(model.contract().document["title"])
