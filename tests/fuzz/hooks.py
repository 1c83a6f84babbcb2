"""What Schemathesis does not know by itself: lines are texts."""

import schemathesis

LINES = ("application/x-ndjson", "text/csv")

for media_type in LINES:
    schemathesis.serializer.alias(media_type, "text/plain")


@schemathesis.deserializer(*LINES)
def lines(ctx: schemathesis.DeserializationContext, response: schemathesis.Response) -> str:
    """Return the body as the text that the contract says it is."""
    del ctx
    return response.text
