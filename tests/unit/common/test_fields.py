"""The fields of a record that a response has."""

import pytest
from sqlalchemy import MetaData, Text
from sqlalchemy.orm import Mapped, mapped_column

from service.common.database import Base
from service.common.resource.fields import select_fields

FIELDS = ("id", "name", "email")


class Other(Base):
    """A base with a registry of its own: the tables of the service are unchanged."""

    __abstract__ = True
    metadata = MetaData()


class Renamed(Other):
    """A model whose attributes have other names than their columns."""

    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str] = mapped_column("name", Text)
    secret: Mapped[str] = mapped_column("hidden", Text, info={"private": True})


class Animal(Other):
    """A model with a child in the same table."""

    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str]


class Dog(Animal):
    """The child, with one more column."""

    __tablename__ = None  # type: ignore[assignment]  # The parent's.
    breed: Mapped[str | None]


def test_a_field_has_the_name_of_its_attribute_and_a_private_column_is_none() -> None:
    assert Renamed.fields() == ("id", "title")


def test_a_child_of_a_model_has_fields_of_its_own() -> None:
    assert Animal.fields() == ("id", "kind")
    assert Dog.fields() == ("id", "kind", "breed")


@pytest.mark.parametrize(
    ("only", "exclude", "names"),
    [
        (["id"], None, ("id",)),
        (("name", "id"), None, ("id", "name")),
        ({"email"}, None, ("email",)),
        (["id", "id"], None, ("id",)),
        ([], None, ()),
        (None, ["id", "email"], ("name",)),
        (None, [], FIELDS),
        (None, None, FIELDS),
    ],
)
def test_only_and_exclude_choose_the_fields_in_their_order(
    only: list[str] | None, exclude: list[str] | None, names: tuple[str, ...]
) -> None:
    assert select_fields(FIELDS, only, exclude) == names


@pytest.mark.parametrize(("only", "exclude"), [(["id"], ["name"]), (["id"], []), ([], [])])
def test_only_and_exclude_together_are_an_error(only: list[str], exclude: list[str]) -> None:
    with pytest.raises(ValueError, match="either only or exclude"):
        select_fields(FIELDS, only, exclude)


@pytest.mark.parametrize("argument", ["only", "exclude"])
@pytest.mark.parametrize("name", ["nope", "", "ID", "version"])
def test_an_unknown_name_is_an_error_that_lists_the_known_ones(argument: str, name: str) -> None:
    arguments = {"only": None, "exclude": None, argument: ["id", name]}
    with pytest.raises(ValueError, match=f"Unknown fields: {name}") as caught:
        select_fields(FIELDS, **arguments)

    assert "There are: id, name, email." in str(caught.value)
