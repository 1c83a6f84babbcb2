"""Responses of every blueprint, each described by a file in `schemas/common/`."""

from service.common.contract.validation import Payload


class Error(Payload, schema="common/error.json"):
    """The envelope of every error."""


class Message(Payload, schema="common/message.json"):
    """A message about what was done."""
