"""Run periodic jobs: `python -m service.maintenance`.

Deletes expired rows every hour, until SIGTERM.
"""

import asyncio
import signal
import sys
from collections.abc import Awaitable, Callable
from contextlib import nullcontext

import structlog
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession

from service.common.database import Database, commit
from service.common.errors import JSONException, cause_of
from service.common.idempotency import delete_expired
from service.failures import OperatorError
from service.logs import configure_logs
from service.metrics import (
    MAINTENANCE_DELETED,
    MAINTENANCE_REGISTRY,
    MAINTENANCE_RUNS,
    MAINTENANCE_SUCCESS,
)
from service.metrics_endpoint import metrics_endpoint
from service.settings import Settings, load_settings

INTERVAL_SECONDS = 3600
# Functions that delete a batch of expired rows and return their number, by its name in the log.
JOBS: dict[str, Callable[[AsyncSession], Awaitable[int]]] = {
    "deleted_idempotency_keys": delete_expired,
}
log = structlog.get_logger("maintenance")


async def run(settings: Settings, *, once: bool = False) -> bool:
    """Run the jobs every hour, or once; return whether the last run succeeded."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop.set)
    database = Database(settings.direct)
    await database.open()
    try:
        while True:
            done = await run_jobs(database, stop)
            if once:
                return done
            try:
                await asyncio.wait_for(stop.wait(), INTERVAL_SECONDS)
            except TimeoutError:
                continue  # An hour has passed.
            return True
    finally:
        await database.close()


async def run_jobs(database: Database, stop: asyncio.Event) -> bool:
    """Delete expired rows in batches, until `stop`; return whether all are deleted."""
    deleted = dict.fromkeys(JOBS, 0)
    try:
        for name, delete_batch in JOBS.items():
            found = None
            while found != 0 and not stop.is_set():
                async with database.bulk() as session:
                    found = await delete_batch(session)
                    await commit(session)
                deleted[name] += found
                MAINTENANCE_DELETED.labels(name.removeprefix("deleted_")).inc(found)
    except (JSONException, DBAPIError, OSError, TimeoutError) as error:
        # The next hour tries again.
        MAINTENANCE_RUNS.labels("failure").inc()
        log.warning("maintenance failed", cause=cause_of(error))
        return False
    if stop.is_set():
        log.info("maintenance stopped", **deleted)
        return False
    MAINTENANCE_RUNS.labels("success").inc()
    MAINTENANCE_SUCCESS.set_to_current_time()
    log.info("maintenance done", **deleted)
    return True


def main() -> int:
    """Run until SIGTERM; with `--once`, run once. Return the exit code."""
    try:
        settings = load_settings()
        configure_logs(settings)
        once = "--once" in sys.argv[1:]
        # A single run ends before Prometheus could read its metrics.
        with nullcontext() if once else metrics_endpoint(settings, MAINTENANCE_REGISTRY):
            done = asyncio.run(run(settings, once=once))
    except OperatorError as error:
        print(error, file=sys.stderr)  # noqa: T201  # There may be no log yet.
        return 1
    return 0 if done else 1


if __name__ == "__main__":
    sys.exit(main())
