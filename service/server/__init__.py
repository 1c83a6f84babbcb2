"""The server: hypercorn, its connections, start and shutdown."""

from service.server.run import main

__all__ = ["main"]
