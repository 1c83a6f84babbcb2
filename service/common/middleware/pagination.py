"""Pagination: the `Link` header (RFC 8288) of a collection."""

from urllib.parse import parse_qsl, urlencode

from quart import request


def next_link(cursor: str | None) -> dict[str, str]:
    """Return the header that leads to the next page, keeping the other parameters."""
    if cursor is None:
        return {}
    parameters = dict(parse_qsl(request.query_string.decode())) | {"after": cursor}
    return {"Link": f'<{request.path}?{urlencode(parameters)}>; rel="next"'}
