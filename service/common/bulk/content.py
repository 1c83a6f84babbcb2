"""The media types of bulk import and export."""

from service.common.contract import Document, load_schemas

NDJSON = "application/x-ndjson"
CSV = "text/csv"
# In the order of the examples of `common/lines.json`.
LINES = (NDJSON, CSV)


def lines_content() -> Document:
    """Return the media types of lines, each with an example."""
    examples = load_schemas()["common/lines.json"].document["examples"]
    schema = {"$ref": "#/components/schemas/Lines"}
    return {
        media_type: {"schema": schema, "example": example}
        for media_type, example in zip(LINES, examples, strict=True)
    }
