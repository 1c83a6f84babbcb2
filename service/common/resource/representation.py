"""The representation of a record, written by PostgreSQL in a fraction of the time of Python."""

from collections.abc import Mapping, Sequence
from functools import cache
from types import MappingProxyType
from typing import Any

from sqlalchemy import (
    JSON,
    Column,
    ColumnElement,
    Date,
    DateTime,
    Float,
    MetaData,
    Numeric,
    String,
    Table,
    Text,
    Uuid,
    cast,
    func,
    literal,
    literal_column,
)
from sqlalchemy.engine import make_url

# The formats of datetimes, in UTC, and dates on the wire.
INSTANT = 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'
DAY = "YYYY-MM-DD"

DIALECT = make_url("postgresql+asyncpg://").get_dialect()()
Expression = ColumnElement[str]
NOTHING: Mapping[str, str] = MappingProxyType({})


def json_object(columns: Sequence[Any], more: Mapping[str, str] = NOTHING) -> Expression:
    """Return the expression of a JSON object: columns in their order, then the SQL of `more`.

    It is SQL already, so that a statement is quick to build and to compile, and small in a cache:
    clients choose the fields. SQLAlchemy can't derive the table from it: use `select_from` if a
    `SELECT` has no other column.
    """
    members = {
        one.key: _member(one.table.name, one.name, one.type, one.nullable) for one in columns
    }
    parts: list[str] = []
    for name, sql in [*members.items(), *more.items()]:
        parts += [f"""'{"," if parts else "{"}"{name}":'""", sql]
    return literal_column(" || ".join([*parts, "'}'" if parts else "'{}'"]), Text)


@cache
def _member(table: str, name: str, type_: Any, is_optional: bool) -> str:
    column = Table(table, MetaData(), Column(name, type_, nullable=is_optional)).columns[name]
    return to_sql(_json(column))


def to_sql(expression: ColumnElement[Any]) -> str:
    """Return the SQL of an expression, with its constants."""
    return str(expression.compile(dialect=DIALECT, compile_kwargs={"literal_binds": True}))


def _json(column: Any) -> Expression:
    if isinstance(column.type, String | Float):
        # Escaped, or with the digits that JSON needs.
        text: Expression = cast(func.to_json(column), Text)
    elif isinstance(column.type, DateTime | Date | Numeric | Uuid):
        # Numbers with an exact scale are strings: many parsers would round them.
        text = literal_text('"') + plain_text(column) + literal_text('"')
    else:
        text = plain_text(column)
    return func.coalesce(text, "null") if column.nullable else text


def plain_text(column: Any) -> Expression:
    """Return the text of a column, without quotation marks, whatever the settings of the server."""
    if isinstance(column.type, DateTime):
        return func.to_char(func.timezone("UTC", column), INSTANT)
    if isinstance(column.type, Date):
        return func.to_char(column, DAY)
    if isinstance(column.type, Float | JSON):
        return cast(func.to_json(column), Text)
    return cast(column, Text)


def literal_text(text: str) -> Expression:
    """Return the expression of a constant text."""
    return literal(text, Text)


def utf8(text: Expression) -> ColumnElement[bytes]:
    """Return the expression of a text's bytes in UTF-8.

    A `str` with a character beyond U+FFFF takes four bytes for each of its characters (PEP 393).
    """
    return func.convert_to(text, literal_column("'UTF8'"))
