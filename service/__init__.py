"""Flusk: a layered JSON API service on PostgreSQL. This file is its table of contents."""

from collections.abc import AsyncGenerator

from quart import Quart

from service import docs, foss, health
from service.common.database import Database
from service.common.middleware import register_middleware
from service.settings import Settings, load_settings

BLUEPRINTS = (health.blueprint, docs.blueprint, foss.blueprint)


def create_app(settings: Settings | None = None) -> Quart:
    """Return an application; as many as one likes, each with connections of its own."""
    settings = settings or load_settings()
    app = Quart(__name__, static_folder=None)
    register_middleware(app, settings)
    register_database(app, settings)
    for blueprint in BLUEPRINTS:
        app.register_blueprint(blueprint)
    return app


def register_database(app: Quart, settings: Settings) -> None:
    """Open the connections with the application, and close them with it."""
    database = app.extensions["database"] = Database(settings)

    @app.while_serving
    async def connections() -> AsyncGenerator[None, None]:
        await database.open()
        yield
        await database.close()
