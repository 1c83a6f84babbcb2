"""The collections of the running service, for commands that work on one of them."""

from typing import Any

import httpx
import pytest

from ops import api
from ops.console import CommandError
from ops.data.transfer import _collection

BODY = {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/CreateIt"}}}}
COLLECTION = {"get": {}, "post": {"requestBody": BODY}}
EXAMPLE = {"name": "One"}


def client_of(*paths: str) -> api.Client:
    """Return a client of a service with these collections, and with what is none."""
    document: dict[str, Any] = {
        "paths": {"/livez": {"get": {}}, "/it/moves": {"post": {"requestBody": BODY}}}
        | dict.fromkeys(paths, COLLECTION),
        "components": {"schemas": {"CreateIt": {"examples": [EXAMPLE, {}]}}},
    }
    transport = httpx.MockTransport(lambda _: httpx.Response(200, json=document))
    return api.Client(base_url="http://elsewhere.example", transport=transport)


def test_a_collection_is_what_can_be_read_and_added_to() -> None:
    assert api.collections(client_of("/it")) == {"/it": EXAMPLE}
    assert api.collections(client_of()) == {}


def test_the_only_collection_needs_no_name() -> None:
    assert _collection(client_of("/it"), []) == "/it"
    assert _collection(client_of("/it", "/other"), ["/other"]) == "/other"


@pytest.mark.parametrize(
    ("paths", "chosen", "names"),
    [
        (("/it", "/other"), [], "/it, /other"),
        (("/it",), ["/other"], "/it"),
        (("/it", "/other"), ["/it", "/other"], "/it, /other"),
        ((), [], "none"),
    ],
)
def test_any_other_choice_is_refused_with_the_names(
    paths: tuple[str, ...], chosen: list[str], names: str
) -> None:
    with pytest.raises(CommandError, match=f"the service has: {names}\\."):
        _collection(client_of(*paths), chosen)
