"""What clients send and receive; the files are in `schemas/foss/`."""

from service.common.contract import Described, Payload
from service.common.resource import FieldsQuery, ListQuery


class CreateFoss(Payload, schema="foss/create_foss.json"):
    """A new Foss."""

    name: str
    email: str


class UpdateFoss(Payload, schema="foss/update_foss.json"):
    """The fields to change; other fields keep their values."""

    name: str | None = None
    email: str | None = None


class ListFoss(ListQuery, schema="foss/list_foss.json"):
    """The selection of records, their order, and the fields to return."""

    name: str | None = None
    email: str | None = None
    q: str | None = None


class GetFoss(FieldsQuery, schema="foss/get_foss.json"):
    """The fields to return."""


class FossDocument(Described, schema="foss/foss.json"):
    """A Foss in a response."""


class FossFields(Described, schema="foss/foss_fields.json"):
    """A Foss, or some of its fields."""


class FossList(Described, schema="foss/foss_list.json"):
    """A page of the collection."""
