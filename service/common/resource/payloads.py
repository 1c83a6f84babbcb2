"""What routes of every blueprint take and answer, each described by a file in `schemas/common/`."""

from pydantic import Field

from service.common.contract.validation import Payload
from service.common.resource.entity_tags import Versions, versions_of


class Preconditions(Payload, schema="common/preconditions.json"):
    """The conditions of a change."""

    if_match: str | None = Field(None, alias="If-Match")
    if_none_match: str | None = Field(None, alias="If-None-Match")

    @property
    def versions(self) -> Versions | None:
        """The versions of a record that may be changed (None: every version)."""
        return versions_of(self.if_match, self.if_none_match)


class Prefer(Payload, schema="common/prefer.json"):
    """What the client would like."""

    prefer: str | None = Field(None, alias="Prefer")


class CreatedHeaders(Payload, schema="common/created_headers.json"):
    """The headers of an answer with a new record."""


class RecordHeaders(Payload, schema="common/record_headers.json"):
    """The headers of an answer with a whole record."""


class FieldsHeaders(Payload, schema="common/fields_headers.json"):
    """The headers of an answer with a record, or a part of it."""


class PageHeaders(Payload, schema="common/page_headers.json"):
    """The headers of a page."""
