"""Rules that read typed, locked records, and answer with what PostgreSQL wrote."""

import asyncio
import inspect
from collections import Counter
from typing import Any

import pytest
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from service.common.contract import Document
from service.common.errors import PreconditionFailed, RecordNotFound
from service.common.middleware import reader, single_write
from service.common.resource import Lock, Versions
from service.common.web import App
from service.settings import ROOT
from tests.blueprints.account import domain
from tests.blueprints.account.backend import ACCOUNT
from tests.blueprints.account.models import Account
from tests.client import Client
from tests.envelope import error_of
from tests.waiting import until

WAITING = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND wait_event_type = 'Lock'
"""
CLOSED = "Account with `id: {}` is closed: it cannot be changed."


async def create(client: Client, balance: int = 0, owner: str = "Ada") -> int:
    response = await client.post("/account", json={"owner": owner, "balance": balance})
    assert response.status_code == 201
    return int((await response.get_json())["id"])


async def transfer(client: Client, source: int, target: int, amount: int) -> Any:
    payload = {"source": source, "target": target, "amount": amount}
    return await client.post("/account/transfers", json=payload)


async def balances(engine: AsyncEngine) -> dict[int, int]:
    async with AsyncSession(engine) as session:
        accounts = await session.scalars(select(Account).order_by(Account.id))
        return {account.id: account.balance for account in accounts}


async def test_a_change_is_answered_as_it_is_stored(client: Client) -> None:
    number = await create(client, owner="Ada")
    response = await client.patch(f"/account/{number}", json={"owner": "Grace"})
    changed = await response.get_json()
    stored = await client.get(f"/account/{number}")

    assert response.status_code == 200
    assert changed == await stored.get_json()
    assert changed["owner"] == "Grace"
    assert changed["updated_at"] > changed["created_at"]
    assert response.headers["ETag"] == stored.headers["ETag"] == '"2"'


@pytest.mark.error("409 Conflict")
async def test_a_closed_account_is_not_changed(client: Client) -> None:
    number = await create(client)
    await client.patch(f"/account/{number}", json={"status": "closed"})
    response = await client.patch(f"/account/{number}", json={"owner": "Grace"})
    error = await error_of(response, 409, "Conflict")
    account = await (await client.get(f"/account/{number}")).get_json()

    assert error["message"] == CLOSED.format(number)
    assert (account["owner"], account["status"]) == ("Ada", "closed")


async def test_an_account_that_has_something_is_neither_closed_nor_deleted(client: Client) -> None:
    number = await create(client, balance=5)
    path = f"/account/{number}"
    for response in (
        await client.patch(path, json={"status": "closed"}),
        await client.delete(path),
    ):
        error = await error_of(response, 409, "Conflict")

        assert error["message"] == f"Account with `id: {number}` has 5: transfer it first."


async def test_an_empty_account_is_deleted(client: Client, engine: AsyncEngine) -> None:
    number = await create(client)
    response = await client.delete(f"/account/{number}")

    assert await response.get_json() == {
        "message": f"Account with `id: {number}` has been deleted."
    }
    assert await balances(engine) == {}


async def test_a_stale_version_comes_before_a_rule(client: Client) -> None:
    number = await create(client, balance=5)
    headers = {"If-Match": '"9"'}
    path = f"/account/{number}"
    for response in (
        await client.patch(path, json={"status": "closed"}, headers=headers),
        await client.delete(path, headers=headers),
    ):
        await error_of(response, 412, "PreconditionFailed")

        assert response.headers["ETag"] == '"1"'


async def test_a_transfer_changes_both_accounts_and_answers_with_them(
    client: Client, engine: AsyncEngine
) -> None:
    ada, grace = await create(client, 100), await create(client, 20, "Grace")
    response = await transfer(client, grace, ada, 15)
    changed = await response.get_json()

    assert [(one["id"], one["balance"]) for one in changed] == [(grace, 5), (ada, 115)]
    assert [
        await (await client.get(f"/account/{one['id']}")).get_json() for one in changed
    ] == changed
    assert await balances(engine) == {ada: 115, grace: 5}


async def test_a_transfer_does_not_overdraw(client: Client, engine: AsyncEngine) -> None:
    ada, grace = await create(client, 100), await create(client, 20, "Grace")
    error = await error_of(await transfer(client, ada, grace, 101), 409, "Conflict")

    assert error["message"] == f"Account with `id: {ada}` has only 100."
    assert await balances(engine) == {ada: 100, grace: 20}


async def test_a_transfer_whose_second_write_fails_changes_nothing(
    client: Client, engine: AsyncEngine
) -> None:
    ada, grace = await create(client, 100), await create(client, 100, "Grace")
    async with engine.begin() as connection:
        await connection.execute(
            text("ALTER TABLE account ADD CONSTRAINT most CHECK (balance < 101)")
        )
    try:
        await error_of(await transfer(client, ada, grace, 1), 500, "InternalError")
    finally:
        async with engine.begin() as connection:
            await connection.execute(text("ALTER TABLE account DROP CONSTRAINT most"))

    assert await balances(engine) == {ada: 100, grace: 100}


@pytest.mark.parametrize("closed", ["source", "target"])
async def test_a_closed_account_takes_part_in_no_transfer(client: Client, closed: str) -> None:
    numbers = {"source": await create(client, 9), "target": await create(client)}
    if closed == "source":
        await transfer(client, numbers["source"], numbers["target"], 9)
    await client.patch(f"/account/{numbers[closed]}", json={"status": "closed"})
    response = await transfer(client, numbers["source"], numbers["target"], 1)
    error = await error_of(response, 409, "Conflict")

    assert error["message"] == CLOSED.format(numbers[closed])


async def test_a_transfer_needs_two_accounts(client: Client) -> None:
    number = await create(client, 9)
    same = await error_of(await transfer(client, number, number, 1), 422, "InvalidAPIRequest")
    missing = await error_of(await transfer(client, number, 99, 1), 404, "RecordNotFound")
    beyond = await error_of(await transfer(client, 2**63 - 1, number, 1), 404, "RecordNotFound")

    assert same["errors"][0]["pointer"] == "/target"
    assert missing["message"] == "There is no Account with `id: 99`"
    assert beyond["message"] == f"There is no Account with `id: {2**63 - 1}`"


async def test_concurrent_transfers_keep_the_sum_and_do_not_deadlock(
    client: Client, engine: AsyncEngine
) -> None:
    ada, grace = await create(client, 30), await create(client, 30, "Grace")
    ways = [(ada, grace), (grace, ada)] * 10
    answers = await asyncio.gather(*(transfer(client, *way, 10 + i) for i, way in enumerate(ways)))
    statuses = Counter(answer.status_code for answer in answers)
    moved = {ada: 0, grace: 0}
    for i, ((source, target), answer) in enumerate(zip(ways, answers, strict=True)):
        if answer.status_code == 200:
            moved[source] -= 10 + i
            moved[target] += 10 + i
    found = await balances(engine)

    assert statuses.keys() <= {200, 409}
    assert statuses[200] > 0
    assert found == {ada: 30 + moved[ada], grace: 30 + moved[grace]}
    assert sum(found.values()) == 60
    assert min(found.values()) >= 0


async def test_locks_are_taken_in_the_order_of_ids(client: Client, engine: AsyncEngine) -> None:
    first, second = await create(client), await create(client)
    free = text("SELECT id FROM account ORDER BY id FOR UPDATE SKIP LOCKED")
    async with AsyncSession(engine) as holder, AsyncSession(engine) as session:
        await ACCOUNT.record(holder, first, lock=Lock.UPDATE)
        waiting = asyncio.create_task(ACCOUNT.records(session, [second, first], lock=Lock.UPDATE))
        await until(engine, WAITING, 1)
        async with engine.connect() as other:
            seen = [*(await other.scalars(free))]
        await holder.rollback()
        records = await waiting

    assert seen == [second]
    assert [record.id for record in records] == [second, first]


@pytest.mark.parametrize(("lock", "others"), [(None, 1), (Lock.NO_KEY_UPDATE, 1), (Lock.UPDATE, 0)])
async def test_a_lock_says_whether_others_may_refer_to_the_record(
    client: Client, engine: AsyncEngine, lock: Lock | None, others: int
) -> None:
    number = await create(client)
    share = text("SELECT id FROM account FOR KEY SHARE SKIP LOCKED")
    change = text("SELECT id FROM account FOR NO KEY UPDATE SKIP LOCKED")
    async with AsyncSession(engine) as session:
        await ACCOUNT.record(session, number, lock=lock)
        async with engine.connect() as other:
            shared = (await other.scalars(share)).all()
        async with engine.connect() as other:
            changed = (await other.scalars(change)).all()

    assert len(shared) == others
    assert len(changed) == (0 if lock else 1)


async def test_a_record_is_typed_and_read_anew(client: Client, engine: AsyncEngine) -> None:
    number = await create(client, 7)
    async with AsyncSession(engine) as session:
        account: Account = await ACCOUNT.record(session, number)
        before = account.balance
        await ACCOUNT.update(session, number, {"balance": before + 1})
        again = await ACCOUNT.record(session, number, lock=Lock.NO_KEY_UPDATE)

        assert (before, again.balance, again.row_version) == (7, 8, 2)
        assert again.created_at.tzinfo is not None


async def test_a_record_that_is_not_there_is_told_as_by_get(
    client: Client, engine: AsyncEngine
) -> None:
    number = await create(client)
    async with AsyncSession(engine) as session:
        for missing in (number + 1, 2**63):
            with pytest.raises(RecordNotFound) as told:
                await ACCOUNT.record(session, missing)
            with pytest.raises(RecordNotFound) as got:
                await ACCOUNT.get(session, missing)

            assert str(told.value) == str(got.value)
        with pytest.raises(PreconditionFailed):
            await ACCOUNT.record(session, number, Versions(accepted=frozenset({2})))


async def test_a_rule_reads_in_a_transaction_or_fails(client: Client, app: App) -> None:
    number = await create(client)
    async with app.app_context():
        # mypy refuses these too, and would tell that an `ignore` is not needed any more.
        with pytest.raises(TypeError, match=r"ask for `session\(\)`"):
            await ACCOUNT.record(reader(), number)  # type: ignore[arg-type]
        with pytest.raises(TypeError, match=r"ask for `session\(\)`"):
            await ACCOUNT.record(single_write(), number, lock=Lock.UPDATE)  # type: ignore[arg-type]


@pytest.mark.parametrize("function", [domain.update_account, domain.transfer])
def test_the_documentation_quotes_the_rules(function: Any) -> None:
    documentation = (ROOT / "docs" / "blueprint.md").read_text(encoding="utf-8")

    assert f"```python\n{inspect.getsource(function)}```\n" in documentation


async def test_the_contract_has_the_blueprint_beside_the_service(app: App) -> None:
    document: Document = await (await app.test_client().get("/openapi.json")).get_json()

    assert {"/account", "/account/{id}", "/account/transfers", "/livez"} <= document["paths"].keys()
    assert {"Account", "Transfer", "AccountSort", "Error"} <= document["components"][
        "schemas"
    ].keys()


async def test_a_collection_without_a_unique_column_is_exported_and_imported(
    client: Client, engine: AsyncEngine
) -> None:
    for balance in (1, 2):
        await create(client, balance)
    exported = await client.get("/account", headers={"Accept": "text/csv"})
    headers = {"Content-Type": "text/csv"}
    imported = await client.post("/account", data=await exported.get_data(), headers=headers)

    assert imported.status_code == 201
    assert await imported.get_json() == {"created": 2}
    assert await balances(engine) == {1: 1, 2: 2, 3: 1, 4: 2}
