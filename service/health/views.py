"""The routes that a load balancer and a supervisor ask."""

from quart import Blueprint
from quart.typing import ResponseReturnValue
from quart_schema import document_response

from service.common.middleware import health
from service.common.web import is_draining
from service.health import domain
from service.health.payloads import Status

blueprint = Blueprint("health", __name__)


@blueprint.get("/livez")
@document_response(Status)
async def livez() -> ResponseReturnValue:
    """Return whether the process answers at all."""
    return {"status": "alive"}


@blueprint.get("/readyz")
@document_response(Status)
async def readyz() -> ResponseReturnValue:
    """Return whether the service can do its work."""
    return {"status": await domain.check_ready(health(), draining=is_draining())}
