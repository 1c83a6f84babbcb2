"""The routes of the collection: requests to the domain, results to responses."""

from quart import Blueprint
from quart.typing import ResponseReturnValue
from quart_schema import document_headers, document_querystring, document_request, document_response

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
from service.foss import domain
from service.foss.payloads import (
    CreateFoss,
    FossDocument,
    FossFields,
    FossList,
    GetFoss,
    ListFoss,
    UpdateFoss,
)

blueprint = Blueprint("foss", __name__, url_prefix="/foss")


@blueprint.post("")
@imports(domain.import_foss)
@document_request(CreateFoss)
@document_headers(IdempotencyKeyHeader)
@document_response(FossDocument, 201, CreatedHeaders)
@document_response(Error, 409)
async def create_foss(payload: CreateFoss) -> ResponseReturnValue:
    """Create a Foss."""
    foss = await domain.create_foss(single_write(), payload)
    return created_response(foss)


@blueprint.get("")
@exports(domain.export_foss)
@document_querystring(ListFoss)
@document_headers(Prefer)
@document_response(FossList, 200, PageHeaders)
async def list_foss(query: ListFoss, headers: Prefer) -> ResponseReturnValue:
    """Return a page of the collection."""
    page = await domain.list_foss(reader(), query, count=wants_count(headers.prefer))
    return page_response(page)


@blueprint.get("/<id:id>")
@document_querystring(GetFoss)
@document_response(FossFields, 200, FieldsHeaders)
async def get_foss(id: int, query: GetFoss) -> ResponseReturnValue:
    """Return a Foss, or some of its fields."""
    foss = await domain.get_foss(reader(), id, query)
    return record_response(foss, whole=query.whole)


@blueprint.route("/<id:id>", methods=["PUT", "PATCH"])
@document_request(UpdateFoss)
@document_headers(Preconditions)
@document_response(FossDocument, 200, RecordHeaders)
@document_response(Error, 409)
async def update_foss(id: int, payload: UpdateFoss, headers: Preconditions) -> ResponseReturnValue:
    """Change the given fields of a Foss; other fields keep their values."""
    foss = await domain.update_foss(single_write(), id, payload, headers.versions)
    return record_response(foss)


@blueprint.delete("/<id:id>")
@document_headers(Preconditions)
@document_response(Message)
@document_response(Error, 409)
async def delete_foss(id: int, headers: Preconditions) -> ResponseReturnValue:
    """Delete a Foss."""
    return {"message": await domain.delete_foss(single_write(), id, headers.versions)}
