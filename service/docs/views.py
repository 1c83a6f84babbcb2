"""The documentation page and its assets, which are not part of the contract."""

from typing import cast

from quart import Blueprint, Response
from quart.blueprints import BlueprintSetupState
from quart_schema import hide

from service.common.contract import Document
from service.common.web import App, public
from service.docs import domain

# No other origins and no inline code: a browser does not run injected scripts.
POLICY = "default-src 'self'; frame-ancestors 'none'"
# A browser may store an asset, but revalidates it each time: a new build may change it.
CACHE_CONTROL = "no-cache"

blueprint = Blueprint("docs", __name__, url_prefix="/docs")


@blueprint.record_once
def register(state: BlueprintSetupState) -> None:
    """Link the page of errors from the contract."""
    cast("App", state.app).contract_additions.append(link_errors)


def link_errors(document: Document) -> None:
    """Add the link to the description of the whole contract."""
    document["info"]["description"] += " Errors have [one shape](docs/errors)."


@blueprint.get("")
@hide
@public
async def page() -> Response:
    """Return the page."""
    return _page(domain.get_page())


@blueprint.get("/errors")
@hide
@public
async def errors() -> Response:
    """Return the page that lists the types of errors (RFC 9457, section 3.1.1)."""
    return _page(domain.get_errors())


def _page(file: domain.File) -> Response:
    headers = {"Content-Security-Policy": POLICY, "Cache-Control": CACHE_CONTROL}
    # Without an entity tag: a browser applies the policy of a 304 response to the page, and a proxy
    # may set another one on a response that is not HTML.
    return Response(file.content, headers=headers, content_type=file.content_type)


@hide
@public
async def asset(name: str) -> Response:
    """Return an asset of the page."""
    file = domain.get_asset(name)
    headers = {"ETag": file.tag, "Cache-Control": CACHE_CONTROL}
    return Response(file.content, headers=headers, content_type=file.content_type)


for part in domain.ASSETS:
    # A route for each, so that a client's path is never used as a file's.
    blueprint.add_url_rule(f"/{part}", view_func=asset, defaults={"name": part})
