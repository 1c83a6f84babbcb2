"""The fields of a record in a response."""

from collections.abc import Collection


def select_fields(
    fields: Collection[str], only: Collection[str] | None, exclude: Collection[str] | None
) -> tuple[str, ...]:
    """Return `only` these fields, or all except `exclude`, in the order of `fields`.

    Raises ValueError if both are given, or if a field is unknown.
    """
    if only is not None and exclude is not None:
        raise ValueError("Use either only or exclude, not both.")
    named = only if only is not None else (exclude or ())
    if unknown := [name for name in named if name not in fields]:
        raise ValueError(f"Unknown fields: {', '.join(unknown)}. There are: {', '.join(fields)}.")
    return tuple(
        name for name in fields if (only is None or name in only) and name not in (exclude or ())
    )
