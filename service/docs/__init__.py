"""The documentation: a page that shows the contract and lets people try it."""

from service.docs.views import blueprint

__all__ = ["blueprint"]
