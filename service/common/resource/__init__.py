"""The parts of a blueprint's resource: pages, cursors, fields, entity tags."""

from service.common.resource.collection import equals, in_order, reading
from service.common.resource.cursors import Cursor, encode_cursor, scope_of
from service.common.resource.entity_tags import Versions
from service.common.resource.inclusion import includable, record_json
from service.common.resource.indexes import is_indexed
from service.common.resource.keyset import (
    Columns,
    Nulls,
    Start,
    beyond,
    order_by,
    start_nulls,
    start_parameters,
    start_values,
)
from service.common.resource.ordering import Order, order_of
from service.common.resource.pages import PART, Page, Selection
from service.common.resource.payloads import (
    CreatedHeaders,
    FieldsHeaders,
    FieldsQuery,
    ListQuery,
    PageHeaders,
    Preconditions,
    Prefer,
    RecordHeaders,
)
from service.common.resource.preferences import wants_count
from service.common.resource.records import Lock, Record
from service.common.resource.representation import (
    Expression,
    json_object,
    literal_text,
    plain_text,
    to_sql,
    utf8,
)
from service.common.resource.resource import Resource
from service.common.resource.responses import created_response, page_response, record_response

__all__ = [
    "PART",
    "Columns",
    "CreatedHeaders",
    "Cursor",
    "Expression",
    "FieldsHeaders",
    "FieldsQuery",
    "ListQuery",
    "Lock",
    "Nulls",
    "Order",
    "Page",
    "PageHeaders",
    "Preconditions",
    "Prefer",
    "Record",
    "RecordHeaders",
    "Resource",
    "Selection",
    "Start",
    "Versions",
    "beyond",
    "created_response",
    "encode_cursor",
    "equals",
    "in_order",
    "includable",
    "is_indexed",
    "json_object",
    "literal_text",
    "order_by",
    "order_of",
    "page_response",
    "plain_text",
    "reading",
    "record_json",
    "record_response",
    "scope_of",
    "start_nulls",
    "start_parameters",
    "start_values",
    "to_sql",
    "utf8",
    "wants_count",
]
