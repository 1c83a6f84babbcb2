"""The routes of the collection: requests to the domain, results to responses."""

from quart import Blueprint
from quart.typing import ResponseReturnValue
from quart_schema import (
    document_headers,
    document_querystring,
    document_request,
    document_response,
)

from service.common.contract import Error, Message
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
from tests.blueprints.note import domain
from tests.blueprints.note.payloads import (
    CreateNote,
    GetNote,
    ListNote,
    NoteDocument,
    NoteFields,
    NoteList,
    UpdateNote,
)

blueprint = Blueprint("note", __name__)


@blueprint.post("/note")
@document_request(CreateNote)
@document_response(NoteDocument, 201, CreatedHeaders)
@document_response(Error, 409)
async def create_note(payload: CreateNote) -> ResponseReturnValue:
    """Create a Note."""
    note = await domain.create_note(single_write(), payload)
    return created_response(note)


@blueprint.get("/note")
@document_querystring(ListNote)
@document_headers(Prefer)
@document_response(NoteList, 200, PageHeaders)
async def list_note(query: ListNote, headers: Prefer) -> ResponseReturnValue:
    """Return a page of the collection."""
    page = await domain.list_note(reader(), query, count=wants_count(headers.prefer))
    return page_response(page)


@blueprint.get("/account/<id:id>/note")
@document_querystring(ListNote)
@document_headers(Prefer)
@document_response(NoteList, 200, PageHeaders)
async def list_note_of_account(id: int, query: ListNote, headers: Prefer) -> ResponseReturnValue:
    """Return a page of the records with this `account_id`."""
    count = wants_count(headers.prefer)
    page = await domain.list_note_of_account(reader(), id, query, count=count)
    return page_response(page)


@blueprint.get("/note/<id:id>/note")
@document_querystring(ListNote)
@document_headers(Prefer)
@document_response(NoteList, 200, PageHeaders)
async def list_note_of_note(id: int, query: ListNote, headers: Prefer) -> ResponseReturnValue:
    """Return a page of the records with this `origin_id`."""
    count = wants_count(headers.prefer)
    page = await domain.list_note_of_note(reader(), id, query, count=count)
    return page_response(page)


@blueprint.get("/note/<id:id>")
@document_querystring(GetNote)
@document_response(NoteFields, 200, FieldsHeaders)
async def get_note(id: int, query: GetNote) -> ResponseReturnValue:
    """Return a Note, or some of its fields."""
    note = await domain.get_note(reader(), id, query)
    return record_response(note, whole=query.whole)


@blueprint.route("/note/<id:id>", methods=["PUT", "PATCH"])
@document_request(UpdateNote)
@document_headers(Preconditions)
@document_response(NoteDocument, 200, RecordHeaders)
@document_response(Error, 409)
async def update_note(id: int, payload: UpdateNote, headers: Preconditions) -> ResponseReturnValue:
    """Change the given fields of a Note; other fields keep their values."""
    note = await domain.update_note(single_write(), id, payload, headers.versions)
    return record_response(note)


@blueprint.delete("/note/<id:id>")
@document_headers(Preconditions)
@document_response(Message)
@document_response(Error, 409)
async def delete_note(id: int, headers: Preconditions) -> ResponseReturnValue:
    """Delete a Note."""
    return {"message": await domain.delete_note(single_write(), id, headers.versions)}
