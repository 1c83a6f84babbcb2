"""Free and open-source software projects: the example blueprint."""

from service.foss.views import blueprint

__all__ = ["blueprint"]
