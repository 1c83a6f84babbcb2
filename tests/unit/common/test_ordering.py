"""The order of a collection leaves no two records equal."""

import pytest

from service.common.errors.exceptions import InvalidAPIRequest
from service.common.resource.ordering import Key, order_of

UNIQUE = {"id", "email"}


@pytest.mark.parametrize(
    ("sort", "order"),
    [
        (None, (Key("id"),)),
        (("id",), (Key("id"),)),
        (("-id",), (Key("id", descending=True),)),
        (("name",), (Key("name"), Key("id"))),
        (("-name",), (Key("name", descending=True), Key("id", descending=True))),
        (
            ("-name", "created_at"),
            (Key("name", descending=True), Key("created_at"), Key("id")),
        ),
        (("-name", "id"), (Key("name", descending=True), Key("id"))),
        (("email", "name"), (Key("email"),)),
        (("name", "-email", "id"), (Key("name"), Key("email", descending=True))),
    ],
)
def test_an_order_ends_with_what_is_unique(
    sort: tuple[str, ...] | None, order: tuple[Key, ...]
) -> None:
    assert order_of(sort, UNIQUE) == order


@pytest.mark.parametrize("sort", [("name", "-name"), ("id", "name", "-id")])
def test_a_duplicate_field_is_a_422(sort: tuple[str, ...]) -> None:
    with pytest.raises(InvalidAPIRequest) as caught:
        order_of(sort, UNIQUE)

    assert caught.value.code == 422
    assert [fault.pointer for fault in caught.value.faults] == ["/sort"]
