"""The page of a search, for about twice the work of the cheaper plan.

Reading in the order of the page is cheap if there are many matches, a trigram index if there are
few; this depends on the unknown positions of the matches in the order. So the search reads in order
as long as that costs less than the index is estimated to, and then uses the index for the rest.
"""

from contextlib import AsyncExitStack
from typing import Any

from service import limits
from service.common.database import Base, Session, hold_costly
from service.common.resource import PART, Page, Selection, is_indexed, reading
from service.common.search.backend import Plans, Target
from service.common.search.statistics import weigh
from service.common.search.weights import Search

# The records that the first statement reads, a later one, and one of a long search.
NEAR, STEP, FAR = 1000, 4000, 16_000
# If the index is likely to read more entries, the search is a costly read.
ENTRIES = 50_000
# How many records may be read in order for each that the index is likely to find.
NEIGHBOURS, SCATTERED = 2 / 3, 2 / 5
# The factor by which this may be exceeded if the page is full by then.
NEARLY = 3 / 2


def affordable(search: Search, walked: int = 0, found: int = 0, missing: int = 0) -> float:
    """Return how many records may be read in order before the index is used.

    A record from the index costs from half to three times as much as one read in order, and about
    half as much if the order is scattered. Of the `walked` records, `found` matched; `missing` more
    are wanted. More may be read if the page will be full soon at that rate.
    """
    worth = SCATTERED if search.reading.is_scattered else NEIGHBOURS
    seen = found / walked if walked else 0
    most = max(search.share, seen) * search.records * worth
    if seen and walked + missing / seen <= NEARLY * most:
        most *= NEARLY
    return min(most, limits.WALKED_RECORDS.value)


def step_of(left: float) -> int:
    """Return how many records the next statement reads if `left` may be read; 0 is none."""
    if left <= 0:
        return 0
    return FAR if left >= FAR else STEP


async def search_page(
    session: Session, model: type[Base], selection: Selection, names: tuple[str, ...]
) -> Page:
    """Return the page of a selection that has the filter `q`.

    Its statements see different snapshots: a record that moves in the order meanwhile may appear
    twice, or not at all, as between two pages.
    """
    equal = dict(selection.filters)
    part = equal.pop(PART)
    order, start = reading(model, selection)
    target = Target(model, names, tuple(equal), order, selection.fields, selection.include)
    plans = Plans(session, target, part, equal)
    missing = (selection.limit or 0) + 1
    found: list[Any] = []
    search, walked, step = None, 0, NEAR
    if not is_indexed(model, order):
        search = await weigh(session, model, names, part, order)
        if search.reading.sorted_at_once > max(NEAR, affordable(search)):
            step = 0
    async with AsyncExitStack() as stack:
        while search is None or step:
            rows = await plans.read_in_order(start, step, missing)
            matches = [row for row in rows if row.json is not None]
            found += matches
            if len(rows) == len(matches):
                return selection.page(found)
            missing -= len(matches)
            start = rows[-1][1:]
            search = search or await weigh(session, model, names, part, order)
            is_first, walked = walked == 0, walked + step
            left = affordable(search, walked, len(found), missing) - walked
            # One connection for the rest: a long search does not wait at each statement.
            if is_first and (left > STEP or search.entries > ENTRIES):
                plans.session = await stack.enter_async_context(hold_costly(session))
            step = step_of(left) if search.reading.sorted_at_once <= NEAR else 0
        return selection.page([*found, *await plans.use_index(search, start, missing)])
