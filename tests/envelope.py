"""The envelope of every error."""

from typing import Any

from quart.wrappers import Response

from service.common.contract.validation import load_schemas
from tests.contract import check_type


def check_envelope(body: Any, headers: Any, status: int, type_: str) -> Any:
    """Return the facts of an error after holding it against the contract."""
    faults = load_schemas()["common/error.json"].faults(body)

    assert faults == []
    assert headers["Content-Type"] == "application/json"
    assert (body["error"]["code"], body["error"]["type"]) == (status, type_)
    check_type(status, type_)
    assert body["error"]["request_id"] == headers["X-Request-ID"]
    return body["error"]


async def error_of(response: Response, status: int, type_: str) -> Any:
    """Return the facts of an error that the application answered."""
    assert response.status_code == status
    return check_envelope(await response.get_json(), response.headers, status, type_)
