"""The base of every model: table and constraint names come from the classes."""

import pytest
from sqlalchemy import CheckConstraint, ForeignKey, Index, MetaData, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from service import create_app
from service.common.database.models import MAX_BIGINT, Base
from service.settings import Settings


class Aside(Base):
    """A base with separate tables, so that those of the service are unchanged."""

    __abstract__ = True
    metadata = MetaData(naming_convention=Base.metadata.naming_convention)


class Maker(Aside):
    """A model without a word about its table."""

    id: Mapped[int] = mapped_column(primary_key=True)


class OpenTool(Aside):
    """A model with a constraint of each kind."""

    __table_args__ = (
        UniqueConstraint("name"),
        UniqueConstraint("maker_id", "name"),
        CheckConstraint("size > 0", name="size_positive"),
        Index(None, "size", "name"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    size: Mapped[int]
    maker_id: Mapped[int] = mapped_column(ForeignKey("maker.id"))


@pytest.mark.parametrize(("model", "name"), [(Maker, "maker"), (OpenTool, "open_tool")])
def test_a_table_is_called_as_its_class_in_lower_case_with_underscores(
    model: type[Base], name: str
) -> None:
    assert model.__tablename__ == name
    assert name in Aside.metadata.tables


def test_every_constraint_and_index_has_a_name_by_convention() -> None:
    table = Aside.metadata.tables["open_tool"]

    assert {str(constraint.name) for constraint in table.constraints} == {
        "pk_open_tool",
        "uq_open_tool_name",
        "uq_open_tool_maker_id_name",
        "ck_open_tool_size_positive",
        "fk_open_tool_maker_id_maker",
    }
    assert {str(index.name) for index in table.indexes} == {"ix_open_tool_size_name"}


def test_every_constraint_of_the_service_is_named_by_convention() -> None:
    create_app(Settings())
    names = [
        f"{table.name} {constraint.name}"
        for table in Base.metadata.tables.values()
        for constraint in table.constraints
    ]

    assert names
    for name in names:
        table, _, constraint = name.partition(" ")
        assert constraint.split("_")[0] in {"pk", "uq", "ck", "fk"}
        assert constraint.partition("_")[2].startswith(table)


def test_the_services_own_tables_are_not_touched_by_this_test() -> None:
    assert "open_tool" not in Base.metadata.tables


def test_the_greatest_id_is_that_of_a_bigint() -> None:
    assert MAX_BIGINT == 9_223_372_036_854_775_807
