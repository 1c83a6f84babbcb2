"""What clients send and get, each described by a file in `schemas/foss/`."""

from service.common.contract import Payload
from service.common.resource import FieldsQuery, ListQuery


class CreateFoss(Payload, schema="foss/create_foss.json"):
    """A new Foss."""

    name: str
    email: str


class UpdateFoss(Payload, schema="foss/update_foss.json"):
    """The fields that change; the others stay."""

    name: str | None = None
    email: str | None = None


class ListFoss(ListQuery, schema="foss/list_foss.json"):
    """Which records, in which order, and which of their fields."""

    name: str | None = None
    email: str | None = None
    q: str | None = None


class GetFoss(FieldsQuery, schema="foss/get_foss.json"):
    """Which fields of the record."""


class FossDocument(Payload, schema="foss/foss.json"):
    """A Foss as it is answered."""


class FossFields(Payload, schema="foss/foss_fields.json"):
    """A Foss, or some of its fields."""


class FossList(Payload, schema="foss/foss_list.json"):
    """A page of the collection."""
