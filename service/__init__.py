"""A layered JSON API service on PostgreSQL. `create_app` is its table of contents."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from quart import Blueprint

    from service.common.web import App
    from service.settings import Settings


def create_app(
    settings: "Settings | None" = None, blueprints: "Iterable[Blueprint] | None" = None
) -> "App":
    """Return an application with database connections of its own.

    `blueprints`, such as those of a test, take the place of the service's.
    """
    # Imported here: commands that need only `service.settings` start a second faster.
    # ruff: noqa: PLC0415
    from service import (
        docs,
        foss,
        health,
    )
    from service.common.bulk import (
        export_hook,
        import_hook,
    )
    from service.common.idempotency import hook as idempotency
    from service.common.middleware import (
        admission,
        content_type,
        cors,
        guard,
        openapi,
        problems,
        schemas,
        server_timing,
        unit_of_work,
    )
    from service.common.resource import conditional
    from service.common.web import App, body_limits, request_id, routing
    from service.settings import load_settings

    settings = settings or load_settings()
    app = App(__name__, settings)
    # Before-request hooks run from top to bottom, after-request hooks from bottom to top: after a
    # view, the response for an idempotency key is stored, then comes the commit; the request id is
    # last.
    openapi.register(app, settings.path_prefix)
    problems.register(app)
    request_id.register(app)
    server_timing.register(app, enabled=settings.server_timing)
    cors.register(app, settings.cors_origins)
    guard.register(app, settings.secure_api_key)
    routing.register(app)
    content_type.register(app)
    body_limits.register(app)
    import_hook.register(app, settings.max_import_bytes, settings.max_body_bytes)
    admission.register(app, settings.database_pool_size)
    schemas.register(app)
    conditional.register(app)
    unit_of_work.register(app, settings)
    idempotency.register(app)
    export_hook.register(app)
    own = (
        health.blueprint,
        docs.blueprint,
        foss.blueprint,
    )
    for blueprint in own if blueprints is None else blueprints:
        app.register_blueprint(blueprint)
    return app
