"""What Schemathesis does not know by itself: lines are texts, and why a change may be refused."""

import re
from typing import Any

import schemathesis

UNPROCESSABLE = 422
LINES = ("application/x-ndjson", "text/csv")

for media_type in LINES:
    schemathesis.serializer.alias(media_type, "text/plain")


@schemathesis.deserializer(*LINES)
def lines(ctx: schemathesis.DeserializationContext, response: schemathesis.Response) -> str:
    """Return the body as the text that the contract says it is."""
    del ctx
    return response.text


# What no schema can say: which records there are, and that a JSON value has no such text inside.
UNSAID = re.compile(
    r"There is no \w+ with `id: [0-9]+`|The character U\+[0-9A-F]{4} can't be stored"
)


@schemathesis.check
def change_is_accepted(
    ctx: schemathesis.CheckContext, response: schemathesis.Response, case: schemathesis.Case[Any]
) -> None:
    """Raise AssertionError if a change that fits its schema is a 422 for what schemas can say."""
    del ctx
    is_change = str(case.operation.definition.raw.get("operationId")).startswith("update_")
    is_valid = case.meta is not None and case.meta.generation.mode.is_positive
    if not is_change or not is_valid or response.status_code != UNPROCESSABLE:
        return
    messages = [fault["message"] for fault in response.json()["error"]["errors"]]
    said = [message for message in messages if not UNSAID.fullmatch(message)]
    assert not said, f"Valid data should have been accepted: {said}"
