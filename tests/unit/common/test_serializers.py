"""Models to plain values, as clients know them."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import MetaData, Text
from sqlalchemy.orm import Mapped, mapped_column, registry

from service.common.database.models import Base
from service.common.database.serializers import Serializable, select_fields, serialize
from service.foss.models import Foss

MOMENT = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
# A separate registry: the tables of the service are unchanged.
other = registry(metadata=MetaData())


@other.mapped
class Renamed(Serializable):
    """A model whose attribute is not called as its column."""

    __tablename__ = "renamed"

    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str] = mapped_column("name", Text)
    secret: Mapped[str] = mapped_column("hidden", Text, info={"private": True})


@other.mapped
class Animal(Serializable):
    """A model with a child in the same table."""

    __tablename__ = "animal"

    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str]


@other.mapped
class Dog(Animal):
    """The child, with a column more."""

    breed: Mapped[str | None]


def foss() -> Foss:
    return Foss(id=7, name="Ada", email="a@b.co", created_at=MOMENT, updated_at=MOMENT, version=3)


def test_a_model_is_a_dict_of_its_public_columns_in_their_order() -> None:
    assert list(foss().to_dict().items()) == [
        ("id", 7),
        ("name", "Ada"),
        ("email", "a@b.co"),
        ("created_at", "2026-01-02T03:04:05.678901Z"),
        ("updated_at", "2026-01-02T03:04:05.678901Z"),
    ]


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        ({"only": ["id"]}, ["id"]),
        ({"only": ("name", "id")}, ["id", "name"]),
        ({"only": {"email"}}, ["email"]),
        ({"only": ["id", "id"]}, ["id"]),
        ({"only": []}, []),
        ({"exclude": ["id", "created_at"]}, ["name", "email", "updated_at"]),
        ({"exclude": []}, ["id", "name", "email", "created_at", "updated_at"]),
        ({"only": None, "exclude": None}, ["id", "name", "email", "created_at", "updated_at"]),
        ({"only": ["id"], "exclude": None}, ["id"]),
    ],
)
def test_only_and_exclude_choose_the_fields(arguments: dict[str, Any], names: list[str]) -> None:
    assert list(foss().to_dict(**arguments)) == names


@pytest.mark.parametrize(("only", "exclude"), [(["id"], ["name"]), (["id"], []), ([], [])])
def test_only_and_exclude_together_are_an_error(only: list[str], exclude: list[str]) -> None:
    with pytest.raises(ValueError, match="either only or exclude"):
        foss().to_dict(only=only, exclude=exclude)


@pytest.mark.parametrize("argument", ["only", "exclude"])
@pytest.mark.parametrize("name", ["nope", "", "ID", "to_dict", "version"])
def test_an_unknown_name_is_an_error_that_lists_the_known_ones(argument: str, name: str) -> None:
    with pytest.raises(ValueError, match=f"Unknown fields: {name}") as caught:
        foss().to_dict(**{argument: ["id", name]})

    assert "There are: id, name, email, created_at, updated_at." in str(caught.value)


def test_a_private_column_never_shows() -> None:
    assert "version" not in foss().to_dict()
    assert "version" not in Foss.fields()


def test_a_column_goes_by_the_name_of_its_attribute() -> None:
    assert Renamed(id=1, title="Ada", secret="x").to_dict() == {"id": 1, "title": "Ada"}  # type: ignore[call-arg]  # `other.mapped` makes the constructor.


def test_a_child_of_a_model_has_fields_of_its_own() -> None:
    assert Animal(id=1, kind="cat").to_dict() == {"id": 1, "kind": "cat"}  # type: ignore[call-arg]
    assert Dog(id=2, kind="dog", breed="pug").to_dict() == {  # type: ignore[call-arg]
        "id": 2,
        "kind": "dog",
        "breed": "pug",
    }


def test_select_fields_keeps_the_order_of_the_fields() -> None:
    assert select_fields(["a", "b", "c"], ["c", "a"], None) == ["a", "c"]
    assert select_fields(["a", "b", "c"], None, ["b"]) == ["a", "c"]


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (MOMENT, "2026-01-02T03:04:05.678901Z"),
        (MOMENT.replace(microsecond=0), "2026-01-02T03:04:05.000000Z"),
        (MOMENT.replace(microsecond=1), "2026-01-02T03:04:05.000001Z"),
        (MOMENT.replace(tzinfo=None), "2026-01-02T03:04:05.678901Z"),
        (
            MOMENT.replace(tzinfo=timezone(timedelta(hours=5, minutes=30))),
            "2026-01-01T21:34:05.678901Z",
        ),
        (MOMENT.replace(tzinfo=timezone(timedelta(hours=-8))), "2026-01-02T11:04:05.678901Z"),
        (MOMENT.replace(year=987), "0987-01-02T03:04:05.678901Z"),
        (
            UUID("12345678-1234-5678-1234-567812345678"),
            "12345678-1234-5678-1234-567812345678",
        ),
        (7, 7),
        ("text", "text"),
        (None, None),
        (True, True),
        (1.5, 1.5),
        ([1], [1]),
    ],
)
def test_a_value_is_made_plain(value: object, plain: object) -> None:
    result = serialize(value)

    assert result == plain
    assert type(result) is type(plain)


def test_a_datetime_is_of_the_format_that_clients_know() -> None:
    text = serialize(MOMENT.replace(microsecond=0))

    assert text == MOMENT.replace(microsecond=0).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def test_every_model_can_be_serialized() -> None:
    assert issubclass(Base, Serializable)
