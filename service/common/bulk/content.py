"""The media types of bulk import and export, and the response to an import."""

from service.common.contract import Document, Payload, load_schemas

NDJSON = "application/x-ndjson"
CSV = "text/csv"


class CreatedCount(Payload, schema="common/created_count.json"):
    """The number of records that were stored."""


def lines_content() -> Document:
    """Return the media types of lines, each with an example."""
    ndjson, csv = load_schemas()["common/lines.json"].document["examples"]
    schema = {"$ref": "#/components/schemas/Lines"}
    return {
        NDJSON: {"schema": schema, "example": ndjson},
        CSV: {"schema": schema, "example": csv},
    }
