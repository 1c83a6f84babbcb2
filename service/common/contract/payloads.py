"""Responses of every blueprint, each described by a file in `schemas/common/`."""

from service.common.contract.validation import Described


class Error(Described, schema="common/error.json"):
    """The envelope of every error."""


class Message(Described, schema="common/message.json"):
    """A message about what was done."""
