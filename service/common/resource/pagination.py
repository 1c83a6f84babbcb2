"""Pagination: the `Link` header (RFC 8288) of a collection, and the number of records."""

from urllib.parse import parse_qsl, urlencode

from quart import request

from service.common.resource.pages import Page
from service.common.resource.preferences import COUNT
from service.common.web import public_path


def page_headers(page: Page) -> dict[str, str]:
    """Return the headers of a page; its links keep all parameters except the cursor."""
    pairs = [pair for pair in parse_qsl(request.query_string.decode()) if pair[0] != "after"]
    links = [_link(pairs, cursor, relation) for relation, cursor in page.links()]
    headers = {"Link": ", ".join(links)} if links else {}
    if page.total is not None:
        headers |= {"X-Total-Count": str(page.total), "Preference-Applied": COUNT}
    return headers


def _link(pairs: list[tuple[str, str]], cursor: str | None, relation: str) -> str:
    query = urlencode([*pairs, *([("after", cursor)] if cursor else [])])
    return f'<{public_path(request.path)}{"?" if query else ""}{query}>; rel="{relation}"'
