"""The server: hypercorn, its connections, start and shutdown."""

from service.server.run import main, reserve_descriptors

__all__ = ["main", "reserve_descriptors"]
