"""The values of columns as plain JSON, for cursors."""

import re
import sys
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, Integer

from service.common.contract import UNSTORABLE
from service.common.database import MAX_BIGINT, MAX_INTEGER

Value = int | float | str | bool | Decimal | date | datetime | UUID | None
Plain = int | float | str | bool | None

# PostgreSQL's numbers have up to 1000 digits if they have a precision.
DECIMAL = re.compile(r"-?[0-9]{1,1000}(?:\.[0-9]{1,1000})?")


def to_plain(value: Value) -> Plain:
    """Return a moment as `2026-01-02T03:04:05.678901Z`, other values as they are in a record."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Decimal):
        # `str` would write a small one with an exponent.
        return f"{value:f}"
    return str(value) if isinstance(value, UUID) else value


def canonical(value: Value) -> Plain:
    """Return the same for equal values: `77.5` for 77.50, `0` for -0."""
    if isinstance(value, float):
        return value + 0.0
    if isinstance(value, Decimal):
        text = f"{value:f}"
        if "." in text:
            text = text.rstrip("0").rstrip(".")
        return "0" if text == "-0" else text
    return to_plain(value)


def from_plain(value: Any, column: Any) -> Value:
    """Return the value of a column. Raises ValueError if it can't be one."""
    if value is None and column.nullable:
        return None
    type_ = column.type.python_type
    if type_ in TEXTS and isinstance(value, str):
        return TEXTS[type_](value)
    most = _most(column.type)
    if type_ in NUMBER_TYPES and type(value) is type_ and -most - 1 <= value <= most:
        number: int | float | bool = value
        return number
    raise ValueError(f"no value of the column {column.name}")


def _most(type_: Any) -> float:
    """Return the largest number that PostgreSQL accepts as a parameter of this type."""
    if isinstance(type_, BigInteger):
        return MAX_BIGINT
    return MAX_INTEGER if isinstance(type_, Integer) else sys.float_info.max


def _text(text: str) -> str:
    if UNSTORABLE.search(text):
        raise ValueError("not storable")
    return text


def _moment(text: str) -> datetime:
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC)


def _decimal(text: str) -> Decimal:
    if not DECIMAL.fullmatch(text):
        raise ValueError("not a decimal number")
    return Decimal(text)


NUMBER_TYPES = frozenset({int, float, bool})
# The types that are texts in JSON, and how they are read.
TEXTS: dict[type, Callable[[str], Value]] = {
    str: _text,
    datetime: _moment,
    date: date.fromisoformat,
    Decimal: _decimal,
    UUID: UUID,
}
