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
from service.common.middleware import reader, session, single_write
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
from service.common.web import json_text
from tests.blueprints.account import domain
from tests.blueprints.account.payloads import (
    AccountDocument,
    AccountFields,
    AccountList,
    CreateAccount,
    GetAccount,
    ListAccount,
    Transfer,
    UpdateAccount,
)

blueprint = Blueprint("account", __name__, url_prefix="/account")


@blueprint.post("")
@imports(domain.import_account)
@document_request(CreateAccount)
@document_headers(IdempotencyKeyHeader)
@document_response(AccountDocument, 201, CreatedHeaders)
@document_response(Error, 409)
async def create_account(payload: CreateAccount) -> ResponseReturnValue:
    """Store a new account."""
    account = await domain.create_account(single_write(), payload)
    return created_response(account)


@blueprint.get("")
@exports(domain.export_account)
@document_querystring(ListAccount)
@document_headers(Prefer)
@document_response(AccountList, 200, PageHeaders)
async def list_account(query: ListAccount, headers: Prefer) -> ResponseReturnValue:
    """Return a page of the collection."""
    page = await domain.list_account(reader(), query, count=wants_count(headers.prefer))
    return page_response(page)


@blueprint.post("/transfers")
@document_request(Transfer)
@document_response(AccountList)
@document_response(Error, 404)
@document_response(Error, 409)
async def transfer(payload: Transfer) -> ResponseReturnValue:
    """Move an amount from one account to another, and return both."""
    accounts = await domain.transfer(session(), payload)
    return json_text(b"[%s]" % b",".join(account.json for account in accounts))


@blueprint.get("/<id:id>")
@document_querystring(GetAccount)
@document_response(AccountFields, 200, FieldsHeaders)
async def get_account(id: int, query: GetAccount) -> ResponseReturnValue:
    """Return one account, or some of its fields."""
    account = await domain.get_account(reader(), id, query)
    return record_response(account, whole=query.whole)


@blueprint.route("/<id:id>", methods=["PUT", "PATCH"])
@document_request(UpdateAccount)
@document_headers(Preconditions)
@document_response(AccountDocument, 200, RecordHeaders)
@document_response(Error, 409)
async def update_account(
    id: int, payload: UpdateAccount, headers: Preconditions
) -> ResponseReturnValue:
    """Change the given fields and keep the others."""
    account = await domain.update_account(session(), id, payload, headers.versions)
    return record_response(account)


@blueprint.delete("/<id:id>")
@document_headers(Preconditions)
@document_response(Message)
@document_response(Error, 409)
async def delete_account(id: int, headers: Preconditions) -> ResponseReturnValue:
    """Delete one account."""
    return {"message": await domain.delete_account(session(), id, headers.versions)}
