"""Statements as SQL."""

import pytest
from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    MetaData,
    Table,
    Text,
    bindparam,
    literal_column,
    select,
)
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import StatementError
from sqlalchemy.ext.asyncio import AsyncEngine

from service.common.database import as_text

TABLE = Table("one", MetaData(), Column("id", BigInteger), Column("name", Text))
DIALECT = postgresql.asyncpg.dialect()  # type: ignore[no-untyped-call]


def test_a_text_has_the_sql_and_the_parameters_of_its_statement() -> None:
    text: ColumnElement[str] = literal_column(r"""'{":a": %s %% :b \: ' || now()::text || '::'""")
    name = TABLE.c.name.ilike(bindparam("q", type_=Text), escape="/")
    statement = select(TABLE.c.id, text).where(name, TABLE.c.id % 3 == 1).limit(5)
    wanted, found = (one.compile(dialect=DIALECT) for one in (statement, as_text(statement)))

    assert str(found) == str(wanted)
    assert found.params == wanted.params


def test_parameters_of_one_name_have_one_type() -> None:
    id_, name = bindparam("q", type_=BigInteger), bindparam("q", type_=Text)
    with pytest.raises(RuntimeError, match="`q` has two types"):
        as_text(select(TABLE.c.id).where(TABLE.c.id == id_, TABLE.c.name == name))


async def test_a_result_has_the_names_of_the_statement(engine: AsyncEngine) -> None:
    statement = as_text(select(bindparam("q", type_=BigInteger).label("id"), literal_column("1")))
    async with engine.connect() as connection:
        row = (await connection.execute(statement, {"q": 2})).one()
        with pytest.raises(StatementError, match="required for bind parameter 'q'"):
            await connection.execute(statement)

    assert (row.id, row[1]) == (2, 1)
