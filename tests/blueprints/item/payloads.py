"""What clients send and receive, each described by a file in `tests/blueprints/schemas/item/`."""

from service.common.contract import Described, Payload
from service.common.resource import FieldsQuery, ListQuery
from tests.blueprints.aside import SCHEMAS


class CreateItem(Payload, schema="item/create_item.json", directory=SCHEMAS):
    """A new Item."""

    name: str
    email: str


class UpdateItem(Payload, schema="item/update_item.json", directory=SCHEMAS):
    """The fields to change; other fields keep their values."""

    name: str | None = None
    email: str | None = None


class ListItem(ListQuery, schema="item/list_item.json", directory=SCHEMAS):
    """The selection of records, their order, and the fields to return."""

    name: str | None = None
    email: str | None = None
    q: str | None = None


class GetItem(FieldsQuery, schema="item/get_item.json", directory=SCHEMAS):
    """The fields to return."""


class ItemDocument(Described, schema="item/item.json", directory=SCHEMAS):
    """An Item in a response."""


class ItemFields(Described, schema="item/item_fields.json", directory=SCHEMAS):
    """An Item, or some of its fields."""


class ItemList(Described, schema="item/item_list.json", directory=SCHEMAS):
    """A page of the collection."""
