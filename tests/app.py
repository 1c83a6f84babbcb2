"""The application under test: the service, with the blueprint `item` in place of its own.

What every resource has is tested on `item`, and so without the resources of the service.
"""

from typing import Any

import service
from service import (
    docs,
    health,
)
from service.common.web import App
from service.settings import Settings
from tests.blueprints import item
from tests.blueprints.aside import SCHEMAS


def create_app(settings: Settings | None = None) -> App:
    """Return an application of the tests, with database connections of its own."""
    blueprints = (
        health.blueprint,
        docs.blueprint,
        item.blueprint,
    )
    app = service.create_app(settings, blueprints)
    app.add_schemas(SCHEMAS)
    return app


def contract_of(app: App) -> dict[str, Any]:
    """Return the contract that an application serves."""
    document: dict[str, Any] = app.extensions["QUART_SCHEMA"].openapi_provider.schema()
    return document
