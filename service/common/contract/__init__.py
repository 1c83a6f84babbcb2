"""The contract: validators from schema files, strict parsing, and the parts of OpenAPI."""

from service.common.contract.content import MORE_CONTENT, REQUEST, add_content
from service.common.contract.derived import DEFAULT_LIMIT, MOMENT_GIVEN
from service.common.contract.parsing import (
    UNSTORABLE,
    convert,
    parse_json,
    parse_query,
    text_faults,
)
from service.common.contract.parts import (
    BEFORE_THE_APPLICATION,
    JSON,
    REQUEST_ID,
    Document,
    json_content,
)
from service.common.contract.payloads import Error, Message
from service.common.contract.sizes import X_PAGE_RECORDS, json_types
from service.common.contract.strict_json import encode
from service.common.contract.validation import (
    DIRECTORY,
    Described,
    Payload,
    Schema,
    SchemaError,
    StreamedPayload,
    load_schemas,
)

__all__ = [
    "BEFORE_THE_APPLICATION",
    "DEFAULT_LIMIT",
    "DIRECTORY",
    "JSON",
    "MOMENT_GIVEN",
    "MORE_CONTENT",
    "REQUEST",
    "REQUEST_ID",
    "UNSTORABLE",
    "X_PAGE_RECORDS",
    "Described",
    "Document",
    "Error",
    "Message",
    "Payload",
    "Schema",
    "SchemaError",
    "StreamedPayload",
    "add_content",
    "convert",
    "encode",
    "json_content",
    "json_types",
    "load_schemas",
    "parse_json",
    "parse_query",
    "text_faults",
]
