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
    etag,
    page_headers,
    wants_count,
)
from service.common.web import json_text, public_path
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
    location = {"Location": public_path(f"/foss/{foss.id}")}
    return json_text(foss.json), 201, location | etag(foss.version)


@blueprint.get("")
@exports(domain.export_foss)
@document_querystring(ListFoss)
@document_headers(Prefer)
@document_response(FossList, 200, PageHeaders)
async def list_foss(query: ListFoss, headers: Prefer) -> ResponseReturnValue:
    """Return a page of the collection."""
    page = await domain.list_foss(reader(), query, count=wants_count(headers.prefer))
    return json_text(page.records), page_headers(page)


@blueprint.get("/<id:id>")
@document_querystring(GetFoss)
@document_response(FossFields, 200, FieldsHeaders)
async def get_foss(id: int, query: GetFoss) -> ResponseReturnValue:
    """Return a Foss, or some of its fields."""
    foss = await domain.get_foss(reader(), id, query.only, query.exclude)
    headers = etag(foss.version, whole=query.only is None and query.exclude is None)
    return json_text(foss.json), headers


@blueprint.put("/<id:id>")
@blueprint.patch("/<id:id>")
@document_request(UpdateFoss)
@document_headers(Preconditions)
@document_response(FossDocument, 200, RecordHeaders)
@document_response(Error, 409)
async def update_foss(id: int, payload: UpdateFoss, headers: Preconditions) -> ResponseReturnValue:
    """Change the given fields of a Foss; other fields keep their values."""
    foss = await domain.update_foss(single_write(), id, payload, headers.versions)
    return json_text(foss.json), etag(foss.version)


@blueprint.delete("/<id:id>")
@document_headers(Preconditions)
@document_response(Message)
async def delete_foss(id: int, headers: Preconditions) -> ResponseReturnValue:
    """Delete a Foss."""
    return {"message": await domain.delete_foss(single_write(), id, headers.versions)}
