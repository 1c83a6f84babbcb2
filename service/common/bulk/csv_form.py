"""A record as a line of CSV (RFC 4180), written by PostgreSQL."""

from collections.abc import Sequence
from functools import cache
from typing import Any

from sqlalchemy import JSON, Column, MetaData, String, Table, Text, case, func, literal_column

from service.common.bulk.content import CSV
from service.common.resource import Expression, literal_text, plain_text, to_sql

# The beginning of a cell that a spreadsheet executes (OWASP, "CSV Injection"), also full-width.
FORMULA = "^[=+@\t\r\n\uff1d\uff0b\uff0d\uff20-]"
BYTE_ORDER_MARK = "\ufeff"


class Csv:
    """Comma-separated values (RFC 4180), each text in quotation marks.

    `escape_formulas` is for spreadsheets: a byte order mark, without which Excel does not read
    UTF-8, and an apostrophe before a cell that a spreadsheet would execute. The latter can't be
    reversed, because a value may begin with an apostrophe.
    """

    media_type = f"{CSV}; charset=utf-8"

    def __init__(self, *, escape_formulas: bool = False) -> None:
        self._escape_formulas = escape_formulas

    def head(self, names: Sequence[str]) -> str:
        """Return the header line."""
        mark = BYTE_ORDER_MARK if self._escape_formulas else ""
        return mark + ",".join(names) + "\r\n"

    def line(self, columns: Sequence[Any]) -> Expression:
        """Return the cells and the line end, as SQL: see `json_object`."""
        cells = [
            _cell(one.table.name, one.name, one.type, one.nullable, self._escape_formulas)
            for one in columns
        ]
        # Without a column, a line is empty.
        return literal_column(" || ',' || ".join(cells) or "''", Text) + literal_text("\r\n")


@cache
def _cell(table: str, name: str, type_: Any, is_optional: bool, is_escaped: bool) -> str:
    column: Any = Table(table, MetaData(), Column(name, type_)).columns[name]
    text: Expression = plain_text(column)
    if isinstance(type_, String | JSON):
        if is_escaped:
            text = case((text.regexp_match(FORMULA), literal_text("'") + text), else_=text)
        text = literal_text('"') + func.replace(text, '"', '""') + literal_text('"')
    return to_sql(func.coalesce(text, "") if is_optional else text)
