"""The responses of the health checks."""

from service.common.contract import Described


class Health(Described, schema="common/health.json"):
    """The health of the service."""
