"""The effects of a deployment, a reload and a crash on clients (short form; see faults.py)."""

from collections.abc import Iterator

import pytest

from tests.stack.compose import Stack
from tests.stack.faults import Outcome, inflict
from tests.stack.project import new_stack
from tests.stack.strikes import FAULTS, RECOVERY

pytestmark = pytest.mark.stack
# Fewer a second than a busy machine can answer, so that no request fails for the load alone.
REQUESTS, RATE = 600, 50


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Return a stack of containers that is gone after the tests."""
    with new_stack(tmp_path_factory.mktemp("faults")) as own:
        started = own.just("up")
        assert started.returncode == 0, started.stdout + started.stderr
        yield Stack(own.name, int(own.environment["HTTP_PORT"]), own.directory)


async def strike(stack: Stack, name: str) -> Outcome:
    """Inflict a fault in its short form, under load."""
    fault = FAULTS[name]
    outcome = await inflict(stack, fault, fault.short_times, REQUESTS, RATE)
    assert outcome.problems == [], outcome.details()
    assert outcome.load.tally.requests >= REQUESTS
    assert len(outcome.figures) == fault.short_times
    assert outcome.differences.lost == []
    return outcome


async def test_no_request_fails_while_the_stack_is_deployed(stack: Stack) -> None:
    outcome = await strike(stack, "deploy")

    assert outcome.load.tally.failed == 0
    assert outcome.differences.ghosts == []


async def test_no_request_fails_while_nginx_is_reloaded(stack: Stack) -> None:
    outcome = await strike(stack, "reload")

    assert outcome.load.tally.failed == 0
    assert outcome.differences.ghosts == []


async def test_every_safe_request_is_answered_while_a_replica_is_killed_and_comes_back(
    stack: Stack,
) -> None:
    outcome = await strike(stack, "kill")

    assert outcome.load.tally.failed_safe == 0
    assert len(await stack.starts("api")) == 2


async def test_without_a_database_writes_are_refused_and_it_works_again_once_that_is_back(
    stack: Stack,
) -> None:
    outcome = await strike(stack, "postgres")

    assert {status for status in outcome.load.tally.refused if status >= 500} == {503}
    assert outcome.load.tally.violations == []
    assert max(outcome.figures) < RECOVERY
