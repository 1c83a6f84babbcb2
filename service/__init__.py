"""Flusk: a layered JSON API service on PostgreSQL. This file is its table of contents."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from quart import Quart

    from service.settings import Settings


def create_app(settings: "Settings | None" = None) -> "Quart":
    """Return an application; each has connections of its own to the database."""
    # Not above: commands that need no more than `service.settings` start a second sooner.
    # ruff: noqa: PLC0415
    from quart import Quart

    from service import docs, foss, health
    from service.common.bulk import exports, imports
    from service.common.idempotency import hook as idempotency
    from service.common.middleware import (
        admission,
        content_type,
        cors,
        deadline,
        guard,
        openapi,
        schemas,
        stale_plans,
        unit_of_work,
    )
    from service.common.resource import conditional
    from service.common.web import (
        body_limits,
        connection,
        json_exceptions,
        json_responses,
        prefix,
        request_id,
        routing,
        upgrade,
    )
    from service.settings import load_settings

    settings = settings or load_settings()
    app = Quart(__name__, static_folder=None)
    # Before-request hooks run from top to bottom, after-request hooks from bottom to top: after a
    # view, the commit comes first and the request id last.
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
    unit_of_work.register(app, settings)
    idempotency.register(app)
    exports.register(app)
    for blueprint in (health.blueprint, docs.blueprint, foss.blueprint):
        app.register_blueprint(blueprint)
    return app
