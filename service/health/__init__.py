"""Health checks: liveness and readiness."""

from service.health.views import blueprint

__all__ = ["blueprint"]
