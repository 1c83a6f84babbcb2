"""What a resource expects of its search, which is a feature of its own: `service/common/search`."""

from typing import Protocol

from sqlalchemy import ColumnElement

from service.common.database import Base, Session
from service.common.resource.pages import Page, Selection


class Searching(Protocol):
    """A search for a part of a text in the columns `names`."""

    names: tuple[str, ...]

    def is_costly(self, text: str) -> bool:
        """Return whether a search may have to read every record, or takes long in each."""

    async def condition(
        self, session: Session, model: type[Base], text: str
    ) -> ColumnElement[bool]:
        """Return the condition that a record has the text."""

    async def page(self, session: Session, model: type[Base], selection: Selection) -> Page:
        """Return the page of a selection that has the filter `q`."""
