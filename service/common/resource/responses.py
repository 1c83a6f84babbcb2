"""Responses of a collection: the JSON that PostgreSQL wrote, with its headers."""

from quart.typing import ResponseReturnValue

from service.common.resource.conditional import etag
from service.common.resource.pages import Page
from service.common.resource.pagination import page_headers
from service.common.resource.records import Record
from service.common.web import current_request, json_text, public_path


def created_response(record: Record) -> ResponseReturnValue:
    """Return a new record of the collection that the request is for."""
    location = {"Location": public_path(f"{current_request().path}/{record.id}")}
    return json_text(record.json), 201, location | etag(record.row_version)


def record_response(record: Record, *, whole: bool = True) -> ResponseReturnValue:
    """Return a record, with an entity tag if it is whole: all of its fields, and no others."""
    return json_text(record.json), etag(record.row_version, whole=whole)


def page_response(page: Page) -> ResponseReturnValue:
    """Return a page of records."""
    return json_text(page.records), page_headers(page)
