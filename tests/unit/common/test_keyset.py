"""The condition of the records after a given one has no comparison that can't be true."""

import pytest
from sqlalchemy import Column, Integer, MetaData, Table, bindparam
from sqlalchemy.dialects import postgresql

from service.common.resource.keyset import beyond
from service.common.resource.ordering import Key

DIALECT = postgresql.dialect()  # type: ignore[no-untyped-call]
COLUMNS = Table("seen", MetaData(), Column("a", Integer), Column("id", Integer, nullable=False)).c


@pytest.mark.parametrize(("never_null", "number"), [(True, 0), (False, 2)])
def test_only_a_column_that_may_be_null_is_compared_with_null(
    never_null: bool, number: int
) -> None:
    order = (Key("a", descending=True, never_null=never_null), Key("id"))
    condition = beyond(COLUMNS, order, [bindparam("a", 1), bindparam("id", 1)])

    assert str(condition.compile(dialect=DIALECT)).count("IS NULL") == number
