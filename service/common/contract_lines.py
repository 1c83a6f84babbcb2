"""How the contract describes records that move as lines."""

from service.common.contract_parts import CSV, NDJSON, Document
from service.common.validation import load_schemas

# The attribute of a view that has content beside JSON, by status, or by REQUEST.
MORE_CONTENT = "more_content"
REQUEST = "requestBody"


def lines_content() -> Document:
    """Return the media types of lines, each with an example."""
    ndjson, csv = load_schemas()["common/lines.json"].document["examples"]
    schema = {"$ref": "#/components/schemas/Lines"}
    return {
        NDJSON: {"schema": schema, "example": ndjson},
        CSV: {"schema": schema, "example": csv},
    }


def add_content(operation: Document, view: object) -> None:
    """Add to an operation what its view has beside JSON."""
    for place, content in getattr(view, MORE_CONTENT, {}).items():
        part = operation[REQUEST] if place == REQUEST else operation["responses"][place]
        for media_type, more in content.items():
            known = part["content"].get(media_type)
            schema = {"anyOf": [known["schema"], more["schema"]]} if known else more["schema"]
            # A copy: quart-schema hands one part to several operations.
            part["content"] = part["content"] | {media_type: more | {"schema": schema}}
