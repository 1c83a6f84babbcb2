"""Readiness, with a fake backend that returns the schema's revisions."""

import asyncio
from typing import cast

import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from service.common.database.revisions import known_revisions
from service.common.errors.exceptions import DatabaseError, Unavailable
from service.health import domain
from service.metrics import IS_READY, REGISTRY

# A build with a branch, of which both heads have to be there.
KNOWN = frozenset({"first", "second", "left", "right"})
HEADS = frozenset({"left", "right"})


class FakeSession:
    """A session that sends nothing."""


class FakeBackend:
    """A database with a schema at these revisions."""

    def __init__(self, revisions: frozenset[str] = frozenset()) -> None:
        self.revisions = revisions
        self.session = cast("AsyncSession", FakeSession())
        self.asked = 0

    async def select_revisions(self, session: AsyncSession) -> frozenset[str]:
        assert session is self.session
        self.asked += 1
        return self.revisions


def known() -> tuple[frozenset[str], frozenset[str]]:
    return KNOWN, HEADS


@pytest.fixture
def backend(monkeypatch: pytest.MonkeyPatch) -> FakeBackend:
    """Put a database and a build in the place of the real ones."""
    fake = FakeBackend()
    monkeypatch.setattr("service.health.domain.backend", fake)
    monkeypatch.setattr("service.health.domain.known_revisions", known)
    return fake


@pytest.mark.parametrize(
    "revisions",
    [
        HEADS,
        frozenset({"newer"}),
        frozenset({"left", "newer"}),
        HEADS | {"newer"},
    ],
    ids=["at the head", "newer", "newer on one branch", "newer beside"],
)
async def test_at_the_head_or_newer_the_service_is_ready(
    backend: FakeBackend, revisions: frozenset[str]
) -> None:
    backend.revisions = revisions

    assert await domain.check_ready(backend.session, draining=False) == {
        "drain": "pass",
        "database": "pass",
        "migrations": "pass",
    }


@pytest.mark.parametrize(
    ("revisions", "found"),
    [
        (frozenset(), "nothing"),
        (frozenset({"first"}), "first"),
        (frozenset({"left"}), "left"),
        (frozenset({"second", "first"}), "first, second"),
    ],
    ids=["never migrated", "behind", "one head of two", "behind on two branches"],
)
async def test_on_an_old_schema_the_service_is_not_ready_and_the_message_has_a_remedy(
    backend: FakeBackend, revisions: frozenset[str], found: str
) -> None:
    backend.revisions = revisions
    with pytest.raises(DatabaseError) as caught:
        await domain.check_ready(backend.session, draining=False)

    assert caught.value.code == 503
    assert caught.value.message == (
        f"The database schema is at {found}, this build needs left, right: run `just migrate`."
    )


async def test_while_draining_the_service_is_not_ready_and_asks_no_database(
    backend: FakeBackend,
) -> None:
    backend.revisions = HEADS
    with pytest.raises(Unavailable) as caught:
        await domain.check_ready(backend.session, draining=True)

    assert caught.value.code == 503
    assert backend.asked == 0


def test_this_build_knows_its_migrations() -> None:
    known, heads = known_revisions()

    assert heads
    assert heads <= known


async def test_the_answer_of_the_database_holds_for_a_second(
    backend: FakeBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr("service.health.domain.monotonic", lambda: now)
    backend.revisions = HEADS
    for seconds in (0, 0.5, 0.6):
        now += seconds
        await domain.check_ready(backend.session, draining=False)

    assert backend.asked == 2


async def test_a_drain_is_seen_at_once(backend: FakeBackend) -> None:
    backend.revisions = HEADS
    await domain.check_ready(backend.session, draining=False)

    with pytest.raises(Unavailable):
        await domain.check_ready(backend.session, draining=True)


async def test_a_failure_of_the_database_is_not_remembered(
    backend: FakeBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(session: AsyncSession) -> frozenset[str]:
        raise DatabaseError("down")

    backend.revisions = HEADS
    with monkeypatch.context() as patched:
        patched.setattr(backend, "select_revisions", fail)
        with pytest.raises(DatabaseError):
            await domain.check_ready(backend.session, draining=False)

    assert await domain.check_ready(backend.session, draining=False)
    assert backend.asked == 1


async def test_the_metrics_show_which_check_fails(backend: FakeBackend) -> None:
    backend.revisions = frozenset({"first"})
    with pytest.raises(DatabaseError):
        await domain.check_ready(backend.session, draining=False)

    shown = {
        name: REGISTRY.get_sample_value("service_ready", {"check": name})
        for name in ("drain", "database", "migrations")
    }
    assert shown == {"drain": 1, "database": 1, "migrations": 0}
    assert REGISTRY.get_sample_value("database_revision_info", {"revision": "first"}) == 1


async def test_the_metrics_show_a_database_that_does_not_answer_in_the_time_of_the_client(
    backend: FakeBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def hang(session: AsyncSession) -> frozenset[str]:
        await asyncio.Event().wait()
        raise AssertionError

    monkeypatch.setattr(backend, "select_revisions", hang)
    IS_READY.labels("database").set(1)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await domain.check_ready(backend.session, draining=False)

    assert REGISTRY.get_sample_value("service_ready", {"check": "database"}) == 0
