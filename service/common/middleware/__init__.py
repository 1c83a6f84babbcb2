"""What happens to every request, one concern a file, in the order of this list.

Before-request hooks run from top to bottom, after-request hooks from bottom to top: the
commit is the first thing after a view, the request id the last.
"""

from quart import Quart

from service.common.middleware import (
    admission,
    body_limits,
    conditional,
    connection,
    content_type,
    cors,
    deadline,
    exports,
    guard,
    idempotency,
    imports,
    json_exceptions,
    json_responses,
    openapi,
    prefix,
    request_id,
    routing,
    schemas,
    stale_plans,
    unit_of_work,
    upgrade,
)
from service.settings import Settings


def register_middleware(app: Quart, settings: Settings) -> None:
    """Register every middleware; deleting a line and its file removes the feature."""
    openapi.register(app, settings.path_prefix)
    json_responses.register(app)
    json_exceptions.register(app)
    connection.register(app)
    prefix.register(app, settings.path_prefix)
    upgrade.register(app)
    request_id.register(app)
    deadline.register(app, settings.request_timeout)
    cors.register(app, settings.cors_origins)
    guard.register(app, settings.secure_api_key)
    routing.register(app)
    content_type.register(app)
    body_limits.register(
        app, settings.max_body_bytes, settings.max_bodies_bytes, settings.request_timeout
    )
    imports.register(app, settings.max_import_bytes, settings.max_body_bytes)
    admission.register(app, settings.database_pool_size)
    schemas.register(app)
    conditional.register(app)
    stale_plans.register(app)
    unit_of_work.register(app)
    idempotency.register(app)
    exports.register(app)
