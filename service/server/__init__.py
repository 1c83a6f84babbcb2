"""The server: hypercorn, which connections it serves, and how it starts and stops."""

from service.server.run import main

__all__ = ["main"]
