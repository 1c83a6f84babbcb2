"""Search of records by a part of a text: the filter `q` of a resource."""

from service.common.search.text import TextSearch

__all__ = ["TextSearch"]
