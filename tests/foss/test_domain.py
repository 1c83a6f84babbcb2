"""What one can do with a Foss, over a backend that is a dict."""

from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

import orjson
import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from service.common.database.batching.autocommit import Session
from service.common.errors.exceptions import (
    InvalidAPIRequest,
    PreconditionFailed,
    RecordAlreadyExists,
    RecordNotFound,
)
from service.common.resource.cursors import Cursor, Filters, encode_cursor, scope_of
from service.common.resource.entity_tags import Versions
from service.common.resource.ordering import Key
from service.common.resource.pages import Page, Selection
from service.common.resource.resource import Resource
from service.foss import domain
from service.foss.models import Foss
from service.foss.payloads import CreateFoss, GetFoss, ListFoss, UpdateFoss
from tests.foss import factories

# The domain hands its session on and does nothing else with it.
SESSION = cast("AsyncSession", object())
MOMENT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def record_of(foss: Foss) -> bytes:
    values = {name: getattr(foss, name) for name in Foss.fields()}
    return orjson.dumps(values, default=str)


class FakeBackend(Resource[Foss]):
    """The statements of a resource over a dict, one e-mail to a record."""

    def __init__(self) -> None:
        super().__init__(Foss)
        vars(self).update(
            _select_batch=self.select_foss,
            _select_page=self.select_foss_page,
            _count_shared=self.count_foss,
        )
        self.kept: dict[int, Foss] = {}
        self.changes = 0

    async def insert(self, session: Session, values: Mapping[str, Any]) -> Any:
        self._check(session, values)
        number = len(self.kept) + 1
        self.kept[number] = Foss(
            id=number, created_at=MOMENT, updated_at=MOMENT, row_version=1, **cast("Any", values)
        )
        return self.kept[number]

    async def select_foss(
        self, session: AsyncSession, id: int, fields: Collection[str] | None = None
    ) -> Foss | None:
        assert (session, fields) == (SESSION, Foss.fields()) or fields is None
        return self.kept.get(id)

    async def select_foss_page(self, session: AsyncSession, selection: Selection) -> Page:
        assert session is SESSION
        assert selection.limit
        [beyond] = selection.start or (-1,)
        assert isinstance(beyond, int)
        found = [
            SimpleNamespace(id=number, json=record_of(foss))
            for number, foss in sorted(self.kept.items())
            if number > beyond
        ]
        return selection.page(found[: selection.limit + 1])

    async def count_foss(self, session: AsyncSession, filters: Filters) -> int:
        assert (session, filters) == (SESSION, ())
        return len(self.kept)

    async def _update(
        self,
        session: Session,
        id: int,
        values: Mapping[str, Any],
        versions: Versions | None,
    ) -> Any:
        foss = self.kept.get(id)
        if foss is None or (versions is not None and foss.row_version not in versions):
            return None
        self._check(session, values)
        for name, value in values.items():
            setattr(foss, name, value)
        foss.row_version += 1
        self.changes += 1
        return foss

    async def _delete(self, session: Session, id: int, versions: Versions | None) -> bool:
        assert session is SESSION
        foss = self.kept.get(id)
        if foss is None or (versions is not None and foss.row_version not in versions):
            return False
        del self.kept[id]
        return True

    def _check(self, session: Session, values: Mapping[str, str]) -> None:
        assert session is SESSION
        if values.get("email") in {foss.email for foss in self.kept.values()}:
            raise RecordAlreadyExists(f"Email `{values['email']}` has already been taken")


@pytest.fixture
def backend(monkeypatch: pytest.MonkeyPatch) -> FakeBackend:
    """Put a dict in the place of the database."""
    fake = FakeBackend()
    monkeypatch.setattr(domain, "FOSS", fake)
    return fake


async def create(**changes: Any) -> Any:
    """Create a Foss by the domain and return what the fake backend holds of it."""
    return await domain.create_foss(SESSION, CreateFoss(**factories.foss(**changes)))


async def test_a_created_foss_is_stored_as_it_came(backend: FakeBackend) -> None:
    foss = await create(name="Ada", email="ada@example.org")

    assert backend.kept == {1: foss}
    assert (foss.id, foss.name, foss.email) == (1, "Ada", "ada@example.org")


async def test_a_taken_email_is_a_conflict_in_the_backend(backend: FakeBackend) -> None:
    await create(email="ada@example.org")
    with pytest.raises(RecordAlreadyExists):
        await create(email="ada@example.org")

    assert list(backend.kept) == [1]


async def test_a_foss_is_found_by_its_id(backend: FakeBackend) -> None:
    await create()
    foss = await create()

    assert await domain.get_foss(SESSION, 2, GetFoss()) is foss
    assert len(backend.kept) == 2


@pytest.mark.usefixtures("backend")
@pytest.mark.parametrize("id", [0, 2, 2**63])
async def test_a_foss_that_is_not_there_is_not_found(id: int) -> None:
    await create()
    with pytest.raises(RecordNotFound) as caught:
        await domain.get_foss(SESSION, id, GetFoss())

    assert caught.value.message == f"There is no Foss with `id: {id}`"


@pytest.mark.usefixtures("backend")
async def test_an_id_of_many_digits_is_cut_in_the_sentence() -> None:
    with pytest.raises(RecordNotFound) as caught:
        await domain.get_foss(SESSION, int("1" * 100), GetFoss())

    assert caught.value.message == f"There is no Foss with `id: {'1' * 80}…`"


@pytest.mark.usefixtures("backend")
@pytest.mark.parametrize(
    ("stored", "limit", "pages"),
    [
        (0, 2, [[]]),
        (1, 2, [[1]]),
        (2, 2, [[1, 2]]),
        (3, 2, [[1, 2], [3]]),
        (4, 2, [[1, 2], [3, 4]]),
        (3, 1, [[1], [2], [3]]),
    ],
)
async def test_pages_follow_each_other_until_there_is_no_more(
    stored: int, limit: int, pages: list[list[int]]
) -> None:
    for _ in range(stored):
        await create()
    found: list[list[int]] = []
    after = None
    while True:
        page = await domain.list_foss(SESSION, ListFoss(limit=limit, after=after))
        found.append([foss["id"] for foss in orjson.loads(page.records)])
        after = page.next
        if after is None:
            break

    assert found == pages


@pytest.mark.usefixtures("backend")
async def test_a_page_behind_the_last_record_is_empty() -> None:
    await create()

    after = encode_cursor(Cursor((1,)), scope_of((Key("id"),), ()))
    page = await domain.list_foss(SESSION, ListFoss(after=after), count=True)

    assert page == Page(b"[]", is_first=False, total=1)


@pytest.mark.usefixtures("backend")
async def test_a_cursor_that_was_not_given_out_is_refused() -> None:
    with pytest.raises(InvalidAPIRequest) as caught:
        await domain.list_foss(SESSION, ListFoss(after="!"))

    assert caught.value.code == 422


@pytest.mark.usefixtures("backend")
@pytest.mark.parametrize(
    ("changes", "name", "email"),
    [
        ({"name": "Zed"}, "Zed", "ada@example.org"),
        ({"email": "zed@example.org"}, "Ada", "zed@example.org"),
        ({"name": "Zed", "email": "zed@example.org"}, "Zed", "zed@example.org"),
    ],
)
@pytest.mark.parametrize("versions", [None, Versions(frozenset({1})), Versions(frozenset({1, 9}))])
async def test_an_update_changes_the_fields_that_it_names(
    changes: dict[str, str], name: str, email: str, versions: Versions | None
) -> None:
    await create(name="Ada", email="ada@example.org")

    foss: Any = await domain.update_foss(SESSION, 1, UpdateFoss(**changes), versions)

    assert (foss.name, foss.email, foss.row_version) == (name, email, 2)
    assert await domain.get_foss(SESSION, 1, GetFoss()) is foss


@pytest.mark.parametrize("versions", [None, Versions(frozenset({1}))])
async def test_an_update_of_nothing_changes_nothing(
    backend: FakeBackend, versions: Versions | None
) -> None:
    created = await create()

    foss = await domain.update_foss(SESSION, 1, UpdateFoss(), versions)

    assert foss is created
    assert (foss.row_version, backend.changes) == (1, 0)


@pytest.mark.parametrize("changes", [{}, {"name": "Zed"}])
@pytest.mark.parametrize(
    "versions", [Versions(frozenset()), Versions(frozenset({2})), Versions(frozenset({7, 8}))]
)
async def test_an_update_of_another_version_fails_with_the_current_one(
    backend: FakeBackend, changes: dict[str, str], versions: Versions
) -> None:
    await create(name="Ada")
    with pytest.raises(PreconditionFailed) as caught:
        await domain.update_foss(SESSION, 1, UpdateFoss(**changes), versions)

    assert caught.value.response_headers == {"ETag": '"1"'}
    assert caught.value.message == "Foss with `id: 1` has changed: read it again."
    assert (backend.kept[1].name, backend.changes) == ("Ada", 0)


@pytest.mark.parametrize("changes", [{}, {"name": "Zed"}])
@pytest.mark.parametrize("refused", [None, frozenset({1})])
async def test_an_update_of_an_excluded_version_fails_with_that_version(
    backend: FakeBackend, changes: dict[str, str], refused: frozenset[int] | None
) -> None:
    await create(name="Ada")
    with pytest.raises(PreconditionFailed) as caught:
        await domain.update_foss(SESSION, 1, UpdateFoss(**changes), Versions(refused=refused))

    assert caught.value.response_headers == {"ETag": '"1"'}
    assert caught.value.message.startswith("`If-None-Match` excludes the current version")
    assert (backend.kept[1].name, backend.changes) == ("Ada", 0)


@pytest.mark.usefixtures("backend")
@pytest.mark.parametrize("changes", [{}, {"name": "Zed"}])
@pytest.mark.parametrize("versions", [None, Versions(frozenset({1})), Versions(frozenset())])
async def test_an_update_of_a_missing_record_finds_nothing(
    changes: dict[str, str], versions: Versions | None
) -> None:
    with pytest.raises(RecordNotFound):
        await domain.update_foss(SESSION, 7, UpdateFoss(**changes), versions)


async def test_an_update_to_a_taken_email_is_a_conflict_in_the_backend(
    backend: FakeBackend,
) -> None:
    await create(email="ada@example.org")
    await create(email="zed@example.org")
    with pytest.raises(RecordAlreadyExists):
        await domain.update_foss(SESSION, 2, UpdateFoss(email="ada@example.org"), None)

    assert backend.kept[2].email == "zed@example.org"


@pytest.mark.parametrize("versions", [None, Versions(frozenset({1}))])
async def test_a_deleted_foss_is_gone(backend: FakeBackend, versions: Versions | None) -> None:
    await create()

    sentence = await domain.delete_foss(SESSION, 1, versions)

    assert sentence == "Foss with `id: 1` has been deleted."
    assert backend.kept == {}


async def test_a_delete_of_another_version_fails_with_the_current_one(
    backend: FakeBackend,
) -> None:
    await create()
    with pytest.raises(PreconditionFailed) as caught:
        await domain.delete_foss(SESSION, 1, Versions(frozenset({2})))

    assert caught.value.response_headers == {"ETag": '"1"'}
    assert list(backend.kept) == [1]


@pytest.mark.usefixtures("backend")
@pytest.mark.parametrize("versions", [None, Versions(frozenset({1})), Versions(frozenset())])
async def test_a_delete_of_a_missing_record_finds_nothing(
    versions: Versions | None,
) -> None:
    with pytest.raises(RecordNotFound) as caught:
        await domain.delete_foss(SESSION, 7, versions)

    assert caught.value.message == "There is no Foss with `id: 7`"


@pytest.mark.usefixtures("backend")
@pytest.mark.parametrize(
    ("given", "limit"), [({}, 50), ({"limit": 1}, 1), ({"limit": 200}, 200), ({"limit": 201}, 200)]
)
async def test_a_page_has_50_records_unless_asked_and_never_more_than_200(
    given: dict[str, int], limit: int
) -> None:
    for _ in range(202):
        await create()
    page = await domain.list_foss(SESSION, ListFoss.check(given))

    # With fields of a project's own there may be less room.
    assert len(orjson.loads(page.records)) == min(limit, ListFoss.page_records())
