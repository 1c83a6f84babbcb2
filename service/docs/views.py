"""The page and its parts; they are not part of the contract that they show."""

from quart import Blueprint, Response
from quart_schema import hide

from service.docs import domain

# Nothing from elsewhere, nothing inline: whatever finds a way into the page is not run.
POLICY = "default-src 'self'; frame-ancestors 'none'"
# A browser may keep a part, but asks each time whether it is still the same: a new build may bring
# another one under the same name.
CACHE_CONTROL = "no-cache"

blueprint = Blueprint("docs", __name__, url_prefix="/docs")


@blueprint.get("")
@hide
async def page() -> Response:
    """Return the page."""
    return _page(domain.get_page())


@blueprint.get("/errors")
@hide
async def errors() -> Response:
    """Return the page that lists the types of errors (RFC 9457, section 3.1.1)."""
    return _page(domain.get_errors())


def _page(file: domain.File) -> Response:
    headers = {"Content-Security-Policy": POLICY, "Cache-Control": CACHE_CONTROL}
    # Without an entity tag: behind a 304 a browser would take that answer's policy, and a proxy
    # may give another one to an answer that is no page.
    return Response(file.content, headers=headers, content_type=file.content_type)


@hide
async def asset(name: str) -> Response:
    """Return a part of the page."""
    file = domain.get_asset(name)
    headers = {"ETag": file.tag, "Cache-Control": CACHE_CONTROL}
    return Response(file.content, headers=headers, content_type=file.content_type)


for part in domain.ASSETS:
    # A route for each, so that no path of a client ever becomes one of a file.
    blueprint.add_url_rule(f"/{part}", view_func=asset, defaults={"name": part})
