"""Requests and responses of every resource, each described by a file in `schemas/common/`."""

from collections.abc import Iterator
from functools import cache
from typing import Any

from pydantic import Field

from service.common.contract import DEFAULT_LIMIT, X_PAGE_RECORDS, Described, Payload
from service.common.resource.entity_tags import Versions, versions_of


class FieldsQuery(Payload):
    """The fields of a record to return; all of them without `only` and `exclude`.

    `include` names the references whose records are returned too, if the schema file has some.
    """

    only: tuple[str, ...] | None = None
    exclude: tuple[str, ...] | None = None
    include: tuple[str, ...] | None = None

    @property
    def whole(self) -> bool:
        """Whether the response is the record alone, with all of its fields."""
        return self.only is None and self.exclude is None and self.include is None


class ListQuery(FieldsQuery):
    """The selection of records, their order, and the fields to return.

    The other fields of a subclass are filters: columns that must be equal, and `q`.
    """

    limit: int = DEFAULT_LIMIT
    after: str | None = None
    sort: tuple[str, ...] | None = None

    @classmethod
    def page_records(cls) -> int:
        """Return how many records a page has at most if it includes no others."""
        return _page_records(cls, "limit")

    def allowed_records(self) -> int:
        """Return how many records this page may have: fewer if it includes others."""
        most = self.page_records()
        return min(most, _page_records(type(self), "include")) if self.include else most

    def most_records(self) -> int:
        """Return how many records this page has at most: what the client wants, if it is fewer."""
        return min(self.limit, self.allowed_records())

    def filters(self) -> Iterator[tuple[str, Any]]:
        """Yield the names and values of the given filters."""
        for name in _filters_of(type(self)):
            if (value := getattr(self, name)) is not None:
                yield name, value


@cache
def _filters_of(query: type[ListQuery]) -> tuple[str, ...]:
    return tuple(name for name in query.model_fields if name not in ListQuery.model_fields)


@cache
def _page_records(query: type[ListQuery], parameter: str) -> int:
    most: int = query.contract().document["properties"][parameter][X_PAGE_RECORDS]
    return most


class Preconditions(Payload, schema="common/preconditions.json"):
    """The preconditions of a change."""

    if_match: str | None = Field(None, alias="If-Match")
    if_none_match: str | None = Field(None, alias="If-None-Match")

    @property
    def versions(self) -> Versions | None:
        """The versions of a record that may be changed (None: every version)."""
        return versions_of(self.if_match, self.if_none_match)


class Prefer(Payload, schema="common/prefer.json"):
    """The preferences of the client."""

    prefer: str | None = Field(None, alias="Prefer")


class CreatedHeaders(Described, schema="common/created_headers.json"):
    """The headers of a response with a new record."""


class RecordHeaders(Described, schema="common/record_headers.json"):
    """The headers of a response with a complete record."""


class FieldsHeaders(Described, schema="common/fields_headers.json"):
    """The headers of a response with a record, or some of its fields."""


class PageHeaders(Described, schema="common/page_headers.json"):
    """The headers of a page."""
