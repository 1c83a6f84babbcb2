"""The responses of the health checks."""

from service.common.contract import Payload


class Health(Payload, schema="common/health.json"):
    """The health of the service."""
