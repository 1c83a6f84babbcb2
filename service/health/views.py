"""The health checks of load balancers and supervisors."""

from quart import Blueprint
from quart.typing import ResponseReturnValue
from quart_schema import document_response

from service.common.middleware import health
from service.common.web import LIVE_PATH, READY_PATH, current_application, public
from service.health import domain
from service.health.payloads import Health

blueprint = Blueprint("health", __name__)


@blueprint.get(LIVE_PATH)
@public
@document_response(Health)
async def livez() -> ResponseReturnValue:
    """Return whether the process responds."""
    return {"status": "alive"}


@blueprint.get(READY_PATH)
@public
@document_response(Health)
async def readyz() -> ResponseReturnValue:
    """Return whether the service can serve requests."""
    draining = current_application().is_draining
    checks = await domain.check_ready(health(), draining=draining)
    return {"status": "ready", "checks": checks}
