"""One request, one unit of work: a 2xx means stored, anything else means not stored."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from quart import g
from quart.testing import QuartClient
from quart.wrappers import Response
from sqlalchemy import insert, text
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from service.common.database.work import Work
from service.common.errors import RecordAlreadyExists
from service.common.middleware.unit_of_work import session, single_write
from service.common.web import App
from service.settings import Settings
from tests.app import create_app
from tests.blueprints.item.backend import ITEM
from tests.blueprints.item.models import Item
from tests.envelope import error_of
from tests.factories import item

# A view with one statement needs a transaction if it is not the only one.
KEY = {"Idempotency-Key": "a"}


async def count(engine: AsyncEngine) -> int:
    async with engine.connect() as connection:
        return int((await connection.execute(text("SELECT count(*) FROM item"))).scalar_one())


async def test_a_connection_that_dies_between_flush_and_commit_stores_nothing(
    settings: Settings, engine: AsyncEngine, empty_database: None
) -> None:
    app = create_app(settings)
    flushed = []

    # Registered last, it runs first: behind the view, in front of the commit.
    @app.after_request
    async def kill(response: Response) -> Response:
        flushed.append(response.status_code)
        pid = (await g.session.execute(text("SELECT pg_backend_pid()"))).scalar_one()
        async with engine.connect() as connection:
            await connection.execute(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": pid})
        return response

    async with app.test_app():
        response = await app.test_client().post("/item", json=item(), headers=KEY)
    await error_of(response, 503, "DatabaseError")

    assert flushed == [201]
    assert response.headers["Retry-After"] == "1"
    assert "Location" not in response.headers
    assert await count(engine) == 0


async def test_a_view_that_writes_twice_without_a_transaction_fails_at_the_first_request(
    settings: Settings, engine: AsyncEngine, empty_database: None
) -> None:
    app = create_app(settings)

    @app.post("/pairs")
    async def create_pair() -> dict[str, str]:
        """Store two records."""
        for _ in range(2):
            await ITEM.insert(single_write(), item())
        return {}

    async with app.test_app():
        response = await app.test_client().post("/pairs")

    await error_of(response, 500, "InternalError")
    assert await count(engine) == 1


async def test_a_write_that_was_refused_may_be_followed_by_another(
    settings: Settings, engine: AsyncEngine, empty_database: None
) -> None:
    app = create_app(settings)
    taken = item()

    @app.post("/replacements")
    async def replace() -> dict[str, str]:
        """Store a record, or else another one."""
        try:
            await ITEM.insert(single_write(), taken)
        except RecordAlreadyExists:
            await ITEM.insert(single_write(), item())
        return {}

    async with app.test_app():
        client = QuartClient(app)  # The view is not in the contract.
        answers = [(await client.post("/replacements")).status_code for _ in range(2)]

    assert answers == [200, 200]
    assert await count(engine) == 2


async def test_a_write_of_many_rows_without_a_transaction_is_refused(
    app: App, engine: AsyncEngine, empty_database: None
) -> None:
    rows = [item(), item()]
    with pytest.raises(RuntimeError, match=r"use `session\(\)`"):
        await app.database.single_write().execute(insert(Item), rows)

    assert await count(engine) == 0


async def test_a_transaction_after_a_write_without_one_is_refused(
    settings: Settings, engine: AsyncEngine, empty_database: None
) -> None:
    app = create_app(settings)

    @app.post("/pairs")
    async def create_pair() -> dict[str, str]:
        """Store two records, one of them without the other's transaction."""
        await ITEM.insert(single_write(), item())
        await ITEM.insert(session(), item())
        return {}

    async with app.test_app():
        response = await app.test_client().post("/pairs")

    await error_of(response, 500, "InternalError")
    assert await count(engine) == 1


class Stuck:
    """A session whose rollback never returns, as if the network dropped everything."""

    def __init__(self, session: AsyncSession, fault: Exception) -> None:
        self._fault = fault
        self.invalidate = session.invalidate
        self.in_transaction = session.in_transaction

    async def close(self) -> None:
        raise self._fault


@pytest.mark.parametrize("fault", [None, TimeoutError(), ConnectionResetError()])
async def test_a_connection_that_dies_before_the_rollback_leaves_the_answer_as_it_is(
    settings: Settings, empty_database: None, fault: Exception | None
) -> None:
    app = create_app(settings.model_copy(update={"database_pool_size": 1}))
    twin = item()
    async with app.test_app():
        client = app.test_client()
        await client.post("/item", json=twin)

        async def kill(response: Response) -> Response:
            raw = await (await g.session.connection()).get_raw_connection()
            raw.driver_connection.terminate()
            if fault is not None:
                g.session = Stuck(g.session, fault)
            return response

        app.after_request_funcs[None].append(kill)
        response = await client.post("/item", json=twin, headers=KEY)
        app.after_request_funcs[None].remove(kill)
        await error_of(response, 409, "RecordAlreadyExists")

        assert (await client.post("/item", json=item())).status_code == 201


@asynccontextmanager
async def objection(engine: AsyncEngine, state: str) -> AsyncIterator[None]:
    """Let PostgreSQL refuse at COMMIT what it took at INSERT, with this SQLSTATE."""
    function = (
        "CREATE FUNCTION object() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN RAISE EXCEPTION 'too late' USING ERRCODE = '{state}'; END $$"
    )
    trigger = (
        "CREATE CONSTRAINT TRIGGER object AFTER INSERT ON item DEFERRABLE INITIALLY DEFERRED "
        "FOR EACH ROW EXECUTE FUNCTION object()"
    )
    async with engine.begin() as connection:
        await connection.execute(text(function))
        await connection.execute(text(trigger))
    try:
        yield
    finally:
        async with engine.begin() as connection:
            await connection.execute(text("DROP FUNCTION object CASCADE"))


@pytest.mark.parametrize(
    ("state", "status", "type_"),
    [
        ("23505", 409, "RecordAlreadyExists"),
        ("40001", 503, "Unavailable"),
        ("53100", 503, "DatabaseError"),
        ("57014", 504, "DeadlineExceeded"),
        ("XX000", 500, "InternalError"),
    ],
)
async def test_a_commit_that_fails_is_answered_like_any_other_error(
    app: App, engine: AsyncEngine, empty_database: None, state: str, status: int, type_: str
) -> None:
    async with objection(engine, state):
        response = await app.test_client().post("/item", json=item())
    await error_of(response, status, type_)

    assert await count(engine) == 0
    assert (await app.test_client().post("/item", json=item())).status_code == 201


async def test_an_error_behind_a_statement_rolls_it_back(
    settings: Settings, engine: AsyncEngine, empty_database: None
) -> None:
    app = create_app(settings)
    view = app.view_functions["item.create_item"]

    async def store_and_fail(**arguments: object) -> None:
        await view(**arguments)  # type: ignore[misc]
        raise RuntimeError("behind the statement")

    for name, value in vars(view).items():
        setattr(store_and_fail, name, value)
    app.view_functions["item.create_item"] = store_and_fail  # type: ignore[assignment]
    async with app.test_app():
        response = await app.test_client().post("/item", json=item(), headers=KEY)
        await error_of(response, 500, "InternalError")

    assert await count(engine) == 0


async def test_only_a_write_of_several_statements_opens_a_transaction(
    settings: Settings, empty_database: None
) -> None:
    app = create_app(settings)
    seen = []

    @app.after_request
    async def look(response: Response) -> Response:
        seen.append("session" in g and g.session.in_transaction())
        return response

    async with app.test_app():
        await app.test_client().get("/item")
        await app.test_client().post("/item", json=item())
        await app.test_client().post("/item", json=item(), headers=KEY)

    assert seen == [False, False, True]


async def test_every_connection_is_given_back(settings: Settings, empty_database: None) -> None:
    app = create_app(settings.model_copy(update={"database_pool_size": 1}))
    async with app.test_app():
        client = app.test_client()
        for _ in range(3):
            await client.post("/item", json=item(email="ada@example.org"))
            await client.post("/item", json={})
            await client.get("/item/99")
        engines = vars(app.database)["_engines"].values()

        assert [engine.pool.checkedout() for engine in engines] == [0] * len(Work)
        assert len(await (await client.get("/item")).get_json()) == 1
