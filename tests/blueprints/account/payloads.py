"""Requests and responses, each described by a file in `tests/blueprints/schemas/account/`."""

from service.common.contract import Described, Payload
from service.common.resource import FieldsQuery, ListQuery
from tests.blueprints.aside import SCHEMAS


class CreateAccount(Payload, schema="account/create_account.json", directory=SCHEMAS):
    """A new account."""

    owner: str
    balance: int = 0


class UpdateAccount(Payload, schema="account/update_account.json", directory=SCHEMAS):
    """The fields to change."""

    owner: str | None = None
    status: str | None = None


class Transfer(Payload, schema="account/transfer.json", directory=SCHEMAS):
    """An amount that goes from one account to another."""

    source: int
    target: int
    amount: int


class ListAccount(ListQuery, schema="account/list_account.json", directory=SCHEMAS):
    """Which records, in which order, and which of their fields."""

    owner: str | None = None
    status: str | None = None
    q: str | None = None


class GetAccount(FieldsQuery, schema="account/get_account.json", directory=SCHEMAS):
    """Which fields of the record."""


class AccountDocument(Described, schema="account/account.json", directory=SCHEMAS):
    """An account in a response."""


class AccountFields(Described, schema="account/account_fields.json", directory=SCHEMAS):
    """An account, or some of its fields."""


class AccountList(Described, schema="account/account_list.json", directory=SCHEMAS):
    """A page of the collection."""
