"""Serialization of models to plain values."""

from collections.abc import Collection
from datetime import UTC, datetime
from typing import Any, ClassVar
from uuid import UUID

from sqlalchemy import inspect


class Serializable:
    """Adds `to_dict` to a model, without columns that have `info={"private": True}`."""

    __serialized_fields__: ClassVar[tuple[str, ...] | None] = None

    @classmethod
    def fields(cls) -> tuple[str, ...]:
        """Return the names of the public columns, in order."""
        # Looked up on the class itself: a subclass has more fields than its parent.
        fields: tuple[str, ...] | None = cls.__dict__.get("__serialized_fields__")
        if fields is None:
            fields = cls.__serialized_fields__ = tuple(
                attribute.key
                for attribute in inspect(cls).column_attrs
                if not attribute.columns[0].info.get("private")
            )
        return fields

    def to_dict(
        self, *, only: Collection[str] | None = None, exclude: Collection[str] | None = None
    ) -> dict[str, Any]:
        """Return the record as plain values, with `only` these fields or all except `exclude`.

        Raises ValueError if both are given, or if a field is unknown.
        """
        return {
            name: serialize(getattr(self, name))
            for name in select_fields(self.fields(), only, exclude)
        }


def select_fields(
    fields: Collection[str], only: Collection[str] | None, exclude: Collection[str] | None
) -> list[str]:
    """Return the selected fields; see `Serializable.to_dict`."""
    if only is not None and exclude is not None:
        raise ValueError("Use either only or exclude, not both.")
    named = only if only is not None else (exclude or ())
    if unknown := [name for name in named if name not in fields]:
        raise ValueError(f"Unknown fields: {', '.join(unknown)}. There are: {', '.join(fields)}.")
    return [
        name for name in fields if (only is None or name in only) and name not in (exclude or ())
    ]


def serialize(value: Any) -> Any:
    """Return a datetime as `2026-01-02T03:04:05.678901Z`, a UUID as text, others as they are.

    A datetime without a zone counts as UTC.
    """
    if isinstance(value, datetime):
        instant = value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
        return instant.replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"
    return str(value) if isinstance(value, UUID) else value
