"""The load itself: it finds what a service that lies has done, and nothing where none does."""

import pytest

from tests.stack.connection import Answer
from tests.stack.fake import serving
from tests.stack.journal import Differences, Journal, Record, Row
from tests.stack.load import Load, Plan, read_rows
from tests.stack.tally import Tally, envelope_fault


async def run_against(lie: str, method: str = "POST") -> tuple[Tally, Differences]:
    """Return what a load of one worker found."""
    async with serving(lie, method) as fake:
        plan = Plan(fake.url, requests=120, rate=10_000, workers=1, timeout=5)
        load = Load(plan)
        await load.run()
        rows = [row async for row in read_rows(plan)]
    return load.tally, load.journal.compare(rows)


async def test_nothing_is_found_in_a_valid_document() -> None:
    tally, differences = await run_against("")

    assert tally.requests == 120
    assert (tally.failed, tally.violations, tally.wrong_answers) == (0, [], [])
    assert set(tally.refused) == {409, 412}
    assert tally.acknowledged > 40
    assert differences.records > 20
    assert (differences.lost, differences.ghosts) == ([], [])


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
async def test_an_acknowledged_write_that_is_not_stored_is_lost(method: str) -> None:
    tally, differences = await run_against("lose", method)

    # A later write may have covered it; then a reader has seen it before.
    assert differences.lost or tally.wrong_answers
    assert differences.ghosts == []


async def test_a_record_with_other_content_is_lost() -> None:
    tally, differences = await run_against("change", "POST")

    assert differences.lost or tally.wrong_answers


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
async def test_a_refused_write_that_is_stored_is_a_ghost(method: str) -> None:
    tally, differences = await run_against("refuse", method)

    assert tally.failures == {f"{method} 503": 1}
    assert len(differences.ghosts) == len(differences.ghosts_of_503) == 1
    assert differences.lost == []


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
async def test_a_refused_write_that_is_not_stored_is_as_it_must_be(method: str) -> None:
    tally, differences = await run_against("refuse, lose", method)

    assert tally.failures == {f"{method} 503": 1}
    assert (differences.lost, differences.ghosts) == ([], [])


@pytest.mark.parametrize("lie", ["hang up", "hang up, lose"])
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
async def test_a_write_without_an_answer_failed_and_may_be_stored_or_not(
    lie: str, method: str
) -> None:
    tally, differences = await run_against(lie, method)

    assert tally.failures == {f"{method} answer: IncompleteReadError": 1}
    assert (differences.lost, differences.ghosts) == ([], [])


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_a_safe_request_without_an_answer_failed(method: str) -> None:
    tally, _ = await run_against("hang up", method)

    assert (tally.failed, tally.failed_safe) == (1, 1)


async def test_without_a_server_every_request_fails_and_the_load_ends() -> None:
    async with serving() as fake:
        plan = Plan(fake.url, requests=50, rate=10_000)
    load = Load(plan)
    await load.run()

    assert load.tally.failed == load.tally.requests >= 50
    assert load.tally.acknowledged == 0


async def test_the_load_ends_after_its_time() -> None:
    async with serving() as fake:
        load = Load(Plan(fake.url, seconds=0.2), enough=lambda: False)
        await load.run()

    assert load.out_of_time


def test_a_record_that_was_a_conflict_and_is_stored_is_a_ghost_without_an_excuse() -> None:
    journal = Journal("mine")
    record = journal.new_record()
    record.settle("Ada", 409)
    differences = journal.compare([Row(1, record.email, "Ada")])

    assert len(differences.ghosts) == 1
    assert differences.ghosts_of_503 == []


def test_a_record_that_was_not_sent_is_a_ghost_and_others_are_ignored() -> None:
    journal = Journal("mine")
    rows = [Row(1, "r9@mine.example.org", "Nobody"), Row(2, "ada@example.org", "Ada")]

    assert journal.compare(rows).ghosts == ["r9@mine.example.org was never sent"]


def test_a_record_under_another_id_is_lost() -> None:
    journal = Journal("mine")
    record = journal.new_record()
    record.settle("Ada", 201)
    record.id = 1

    assert len(journal.compare([Row(2, record.email, "Ada")]).lost) == 1


@pytest.mark.parametrize("status", [502, 504, None])
def test_a_gateway_s_word_about_a_write_is_no_word(status: int | None) -> None:
    record = Record("r1@mine.example.org")
    record.settle("Ada", status)

    assert record.allowed == {None, "Ada"}
    assert not record.usable


ENVELOPE = b'{"error": {"code": 503, "type": "DatabaseError", "message": "No.", "request_id": "a"}}'
HEADERS = {"content-type": "application/json", "retry-after": "1", "x-request-id": "a"}


@pytest.mark.parametrize(
    ("headers", "body", "fault"),
    [
        ({}, ENVELOPE, None),
        ({"retry-after": ""}, ENVELOPE, "no Retry-After"),
        ({"content-type": "text/html"}, ENVELOPE, "Content-Type text/html"),
        ({"x-request-id": "b"}, ENVELOPE, "code and request id"),
        ({}, b"<html>", "no envelope"),
        ({}, b'{"error": {}}', "no envelope"),
        ({}, ENVELOPE.replace(b"503", b"500"), "code and request id"),
    ],
)
def test_a_refusal_in_another_form_is_a_violation(
    headers: dict[str, str], body: bytes, fault: str | None
) -> None:
    found = envelope_fault("GET", Answer(503, HEADERS | headers, body))

    assert found is None if fault is None else str(found).startswith(fault)


def test_the_longest_gap_counts_from_the_start_to_the_end() -> None:
    tally = Tally(started=0, ended=10, successes=[4, 5])

    assert tally.longest_gap == 5
    assert tally.first_success_after(4.5) == 5
    assert tally.first_success_after(5) is None
