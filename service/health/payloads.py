"""What the health routes answer."""

from service.common.contract import Payload


class Status(Payload, schema="common/status.json"):
    """How the service is."""
