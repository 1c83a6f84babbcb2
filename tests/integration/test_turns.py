"""Turns of the clients: however many requests one sends, those of others begin soon."""

import asyncio
from typing import Any

import pytest
from pydantic import SecretStr

from service import limits
from service.settings import Settings
from tests.app import create_app
from tests.integration.test_connection import Exchange, part

NUMBER = limits.REQUESTS_IN_TURN.value


@pytest.mark.limit("REQUESTS_IN_TURN")
@pytest.mark.parametrize(("path", "status"), [("/item", 401), ("/elsewhere", 401), ("/livez", 200)])
async def test_answers_without_any_wait_do_not_delay_those_of_other_clients(
    settings: Settings, path: str, status: int
) -> None:
    app = create_app(settings.model_copy(update={"secure_api_key": SecretStr("k" * 16)}))
    many: list[Any] = [Exchange(app, path, peer="10.0.0.1") for _ in range(500)]
    other = Exchange(app, "/livez", peer="10.0.0.2")
    async with app.test_app():
        tasks = [asyncio.create_task(one.run(part())) for one in many]
        # In a task of its own, so that it is the last to begin.
        await asyncio.create_task(other.run(part()))
        answered = [one for one in many if one.sent]
        await asyncio.gather(*tasks)

    assert other.status == 200
    # Those that began in the same iterations: the first, and that in which it had its turn.
    assert len(answered) <= 2 * NUMBER
    assert {one.status for one in many} == {status}
