"""The responses of the health checks."""

from service.common.contract.validation import Payload


class Status(Payload, schema="common/status.json"):
    """The status of the service."""
