"""The media types of bulk import and export."""

from service.common.contract import Document, load_schemas

NDJSON = "application/x-ndjson"
CSV = "text/csv"


def lines_content() -> Document:
    """Return the media types of lines, each with an example."""
    ndjson, csv = load_schemas()["common/lines.json"].document["examples"]
    schema = {"$ref": "#/components/schemas/Lines"}
    return {
        NDJSON: {"schema": schema, "example": ndjson},
        CSV: {"schema": schema, "example": csv},
    }
