"""A record as a line of CSV (RFC 4180), written by PostgreSQL."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import JSON, String, case, func

from service.common.bulk.content import CSV
from service.common.resource import Expression, join, literal_text, plain_text

# The beginning of a cell that a spreadsheet executes (OWASP, "CSV Injection"), also full-width.
FORMULA = "^[=+\\-@\t\r\n\uff1d\uff0b\uff0d\uff20]"
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
        """Return the cells and the line end."""
        parts: list[Expression] = []
        for column in columns:
            parts += [*([literal_text(",")] if parts else []), self._cell(column)]
        return join([*parts, literal_text("\r\n")])

    def _cell(self, column: Any) -> Expression:
        text: Expression = plain_text(column)
        if isinstance(column.type, String | JSON):
            if self._escape_formulas:
                text = case((text.regexp_match(FORMULA), literal_text("'") + text), else_=text)
            text = literal_text('"') + func.replace(text, '"', '""') + literal_text('"')
        return func.coalesce(text, "") if column.nullable else text
