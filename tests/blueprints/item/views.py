"""The routes of the collection: requests to the domain, results to responses."""

from quart import Blueprint
from quart.typing import ResponseReturnValue
from quart_schema import (
    document_headers,
    document_querystring,
    document_request,
    document_response,
)

from service.common.bulk import exports, imports
from service.common.contract import Error, Message
from service.common.idempotency import IdempotencyKeyHeader
from service.common.middleware import reader, single_write
from service.common.resource import (
    CreatedHeaders,
    FieldsHeaders,
    PageHeaders,
    Preconditions,
    Prefer,
    RecordHeaders,
    created_response,
    page_response,
    record_response,
    wants_count,
)
from tests.blueprints.item import domain
from tests.blueprints.item.payloads import (
    CreateItem,
    GetItem,
    ItemDocument,
    ItemFields,
    ItemList,
    ListItem,
    UpdateItem,
)

blueprint = Blueprint("item", __name__, url_prefix="/item")


@blueprint.post("")
@imports(domain.import_item)
@document_request(CreateItem)
@document_headers(IdempotencyKeyHeader)
@document_response(ItemDocument, 201, CreatedHeaders)
@document_response(Error, 409)
async def create_item(payload: CreateItem) -> ResponseReturnValue:
    """Create an Item."""
    item = await domain.create_item(single_write(), payload)
    return created_response(item)


@blueprint.get("")
@exports(domain.export_item)
@document_querystring(ListItem)
@document_headers(Prefer)
@document_response(ItemList, 200, PageHeaders)
async def list_item(query: ListItem, headers: Prefer) -> ResponseReturnValue:
    """Return a page of the collection."""
    page = await domain.list_item(reader(), query, count=wants_count(headers.prefer))
    return page_response(page)


@blueprint.get("/<id:id>")
@document_querystring(GetItem)
@document_response(ItemFields, 200, FieldsHeaders)
async def get_item(id: int, query: GetItem) -> ResponseReturnValue:
    """Return an Item, or some of its fields."""
    item = await domain.get_item(reader(), id, query)
    return record_response(item, whole=query.whole)


@blueprint.route("/<id:id>", methods=["PUT", "PATCH"])
@document_request(UpdateItem)
@document_headers(Preconditions)
@document_response(ItemDocument, 200, RecordHeaders)
@document_response(Error, 409)
async def update_item(id: int, payload: UpdateItem, headers: Preconditions) -> ResponseReturnValue:
    """Change the given fields of an Item; other fields keep their values."""
    item = await domain.update_item(single_write(), id, payload, headers.versions)
    return record_response(item)


@blueprint.delete("/<id:id>")
@document_headers(Preconditions)
@document_response(Message)
@document_response(Error, 409)
async def delete_item(id: int, headers: Preconditions) -> ResponseReturnValue:
    """Delete an Item."""
    return {"message": await domain.delete_item(single_write(), id, headers.versions)}
