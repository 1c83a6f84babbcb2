"""Flusk: a layered JSON API service on PostgreSQL. This file is its table of contents."""

from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from quart import Quart

    from service.settings import Settings


def create_app(settings: "Settings | None" = None) -> "Quart":
    """Return an application; as many as one likes, each with connections of its own."""
    # Not above: commands that need no more than `service.settings` start a second sooner.
    from quart import Quart  # noqa: PLC0415

    from service import docs, foss, health  # noqa: PLC0415
    from service.common.middleware import register_middleware  # noqa: PLC0415
    from service.settings import load_settings  # noqa: PLC0415

    settings = settings or load_settings()
    app = Quart(__name__, static_folder=None)
    register_middleware(app, settings)
    register_database(app, settings)
    for blueprint in (health.blueprint, docs.blueprint, foss.blueprint):
        app.register_blueprint(blueprint)
    return app


def register_database(app: "Quart", settings: "Settings") -> None:
    """Open the connections with the application, and close them with it."""
    from service.common.database import Database  # noqa: PLC0415
    from service.common.middleware.admission import lent  # noqa: PLC0415

    database = app.extensions["database"] = Database(settings, lent)

    @app.while_serving
    async def connections() -> AsyncGenerator[None, None]:
        await database.open()
        yield
        await database.close()
