"""A wall clock that jumps: deadlines and pools use the monotonic clock."""

from email.utils import parsedate_to_datetime

import pytest

from tests.faults.conftest import Target, requests

DAY = 24 * 60 * 60
PIDS = "SELECT pid FROM pg_stat_activity WHERE usename = 'faults' ORDER BY pid"


@pytest.mark.parametrize("seconds", [DAY, -DAY], ids=["forwards", "backwards"])
async def test_a_jump_of_the_clock_costs_no_request_and_no_connection_and_deadlines_go_on(
    target: Target, seconds: int
) -> None:
    async with target.client() as client:
        # A connection of each kind.
        before = [await one for one in (*requests(client), client.get("/readyz"))]
        pids = await target.sql(PIDS)
        target.shift_clock(seconds)
        try:
            after = [await one for one in (*requests(client), client.get("/readyz"))]
            kept = await target.sql(PIDS)
            async with target.locked("item"):
                late = await client.get("/item?q=ect")
        finally:
            target.shift_clock(0)
    dates = [parsedate_to_datetime(one[0].headers["Date"]) for one in (before, after)]

    # The jump reached the service.
    assert abs((dates[1] - dates[0]).total_seconds() - seconds) < DAY / 2
    assert [one.status_code for one in after] == [one.status_code for one in before]
    assert kept == pids
    assert late.status_code == 504
