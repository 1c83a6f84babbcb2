"""The application as any ASGI server finds it."""

import logging
from importlib import import_module

import pytest
from quart import Quart


async def test_the_module_holds_an_application(
    monkeypatch: pytest.MonkeyPatch, database_url: str
) -> None:
    monkeypatch.setenv("DATABASE_URL", database_url)
    handlers = logging.getLogger().handlers[:]
    app: Quart = import_module("service.asgi").app
    async with app.test_app():
        response = await app.test_client().get("/readyz")

        assert (await response.get_json())["status"] == "ready"
    logging.getLogger().handlers[:] = handlers
