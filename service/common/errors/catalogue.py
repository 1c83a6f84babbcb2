"""The catalogue of errors: every status and type that the service, or nginx before it, answers."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import groupby
from operator import attrgetter

from service.common.errors.exceptions import JSONException, Row


def error_rows() -> list[Row]:
    """Return the rows by status, of the exceptions in all modules that are imported.

    So a feature that is not part of the application has none.
    """
    rows = (
        replace(
            row,
            headers=(*kind.headers, *row.headers),
            type=kind.__name__,
            title=kind.title(),
        )
        for kind in kinds(JSONException)
        for row in vars(kind).get("rows", ())
    )
    return sorted(rows, key=attrgetter("status"))


def kinds(base: type[JSONException]) -> Iterator[type[JSONException]]:
    """Yield every subclass, in the order of their definition."""
    for kind in base.__subclasses__():
        yield kind
        yield from kinds(kind)


def rows_by_type() -> dict[str, list[Row]]:
    """Return the rows of each type, by its name."""
    by_type = attrgetter("type")
    return {name: [*rows] for name, rows in groupby(sorted(error_rows(), key=by_type), by_type)}
