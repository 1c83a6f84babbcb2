"""The faults: what is done to the stack, and what its clients may notice of it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from time import monotonic

from tests.stack.compose import Stack, eventually
from tests.stack.load import Load
from tests.stack.tally import Tally

# Seconds from the database's first answer to the first request that succeeds.
RECOVERY = 5

Strike = Callable[[Stack, Load], Awaitable[float]]
Judge = Callable[[Tally], list[str]]


async def deploy(stack: Stack, load: Load) -> float:
    """Deploy; return how many seconds it took."""
    before, began = await stack.starts("api"), monotonic()
    await stack.run("./just", "deploy")
    took, after = monotonic() - began, await stack.starts("api")
    if set(before) & set(after) or len(before) != len(after):
        raise RuntimeError(f"the replicas were not all replaced: {before} {after}")
    return took


async def kill_replica(stack: Stack, load: Load) -> float:
    """Kill one of the replicas; return how many seconds it took to come back by itself."""
    before, began = await stack.starts("api"), monotonic()
    # The one that has run for longest, so that each has its turn.
    victim = min(before, key=lambda container: before[container])
    await stack.kill(victim)

    async def is_back() -> bool:
        after = await stack.starts("api")
        return len(after) == len(before) and after.get(victim) not in {None, before[victim]}

    await eventually(is_back, "the killed replica healthy again")
    return monotonic() - began


async def kill_database(stack: Stack, load: Load) -> float:
    """Kill PostgreSQL; return the seconds from its first answer to the first success."""
    container = await stack.container("postgres")
    await stack.kill(container)
    failed = load.tally.failed

    async def is_noticed() -> bool:
        return load.tally.failed >= failed + 50

    # The restart policy would spare the clients the outage that is to be seen.
    await stack.compose("stop", "--timeout", "0", "postgres")
    await eventually(is_noticed, "an outage")
    await stack.compose("start", "postgres")
    refused = monotonic()

    async def is_accepting() -> bool:
        nonlocal refused
        asked = monotonic()
        accepts = await stack.accepts_connections()
        # It began to accept at some time after the last refusal: this is never too short.
        refused = refused if accepts else asked
        return accepts

    async def has_success() -> bool:
        return load.tally.first_success_after(refused) is not None

    await eventually(is_accepting, "the database back")
    await eventually(has_success, "a success")
    return (load.tally.first_success_after(refused) or 0) - refused


async def reload_nginx(stack: Stack, load: Load) -> float:
    """Make nginx read its configuration anew."""
    began = monotonic()
    await stack.compose("exec", "-T", "nginx", "/flusk/start.sh", "reload")
    return monotonic() - began


def none_failed(tally: Tally) -> list[str]:
    """Every request must be answered as it should."""
    return [f"{tally.failed} failed"] if tally.failed else []


def safe_requests_answered(tally: Tally) -> list[str]:
    """A request that changes nothing must be answered as it should."""
    return [f"{tally.failed_safe} safe requests failed"] if tally.failed_safe else []


def only_503(tally: Tally) -> list[str]:
    """A request may fail with 503 alone."""
    others = [name for name in tally.failures if not name.endswith(" 503")]
    return [f"not 503: {', '.join(others)}"] if others else []


@dataclass(frozen=True)
class Fault:
    """What is done how often, and what must hold; `figure` names what a strike measures."""

    name: str
    strike: Strike
    judge: Judge
    figure: str
    times: int
    short_times: int
    requests: int = 5000
    limit: float = 600
    # Something dies that may just have committed: the 503 is honest then, yet the write is stored.
    dies: bool = False


FAULTS = {
    "deploy": Fault("`just deploy`", deploy, none_failed, "took", 5, 1, 20_000),
    "kill": Fault(
        "replica killed", kill_replica, safe_requests_answered, "back after", 10, 2, dies=True
    ),
    "postgres": Fault(
        "PostgreSQL killed", kill_database, only_503, "recovered in", 5, 2,
        limit=RECOVERY, dies=True,
    ),
    "reload": Fault("`nginx -s reload`", reload_nginx, none_failed, "took", 5, 2),
}  # fmt: skip
