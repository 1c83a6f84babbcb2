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


@pytest.mark.limit("REQUESTS_IN_TURN")
async def test_bodies_that_end_at_the_same_time_do_not_delay_other_clients(
    settings: Settings, empty_database: None
) -> None:
    app = create_app(settings)
    body = b'{"name": 1}'
    headers = {"content_type": "application/json", "content_length": str(len(body))}
    many: list[Any] = [
        Exchange(app, "/item", "POST", peer="10.0.0.1", **headers) for _ in range(500)
    ]
    other = Exchange(app, "/livez", peer="10.0.0.2")
    async with app.test_app():
        tasks = [asyncio.create_task(one.run(part(body[:5], more=True))) for one in many]
        while app.body_budget.held < 5 * len(many):  # noqa: ASYNC110  # Polling: there is no event.
            await asyncio.sleep(0)
        for _ in range(50):
            await asyncio.sleep(0)
        for one in many:
            one.received.put_nowait(part(body[5:]))
        # They have their bodies in one iteration of the event loop.
        await asyncio.sleep(0)
        await asyncio.create_task(other.run(part()))
        answered = [one for one in many if one.sent]
        await asyncio.gather(*tasks)

    assert other.status == 200
    assert len(answered) <= 3 * NUMBER
    assert {one.status for one in many} == {422}
