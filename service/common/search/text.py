"""The search of a resource: what `Resource` needs to know of it."""

from typing import Any

from sqlalchemy import ColumnElement

from service.common.database import Base, Session
from service.common.resource import Page, Selection
from service.common.search.backend import condition_of
from service.common.search.pages import search_page
from service.common.search.statistics import weigh
from service.common.search.trigrams import has_trigrams
from service.common.search.weights import is_repetitive


class TextSearch:
    """A case-insensitive search for a part of a text in these columns.

    A trigram index has them: see `tests/test_resources.py`.
    """

    def __init__(self, *names: str) -> None:
        self.names = names

    def is_costly(self, text: str) -> bool:
        """Return whether no index helps to find a text, or comparing it takes long."""
        return not has_trigrams(text) or is_repetitive(text)

    async def condition(
        self, session: Session, model: type[Base], text: str
    ) -> ColumnElement[bool]:
        """Return the condition that a record has the text."""
        columns: Any = model.__table__.columns
        return condition_of(await weigh(session, model, self.names, text), columns)

    async def page(self, session: Session, model: type[Base], selection: Selection) -> Page:
        """Return the page of a selection that has the filter `q`."""
        return await search_page(session, model, selection, self.names)
