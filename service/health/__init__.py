"""Health: whether the process lives, and whether it can do its work."""

from service.health.views import blueprint

__all__ = ["blueprint"]
