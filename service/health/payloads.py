"""The responses of the health checks."""

from service.common.contract import Payload


class Status(Payload, schema="common/status.json"):
    """The status of the service."""
