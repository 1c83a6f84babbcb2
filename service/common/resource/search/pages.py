"""The page of a search, for about twice the work of the cheaper way to it.

Reading in the order of the page is cheap if matches are many, an index on trigrams if they are
few; which of both holds depends on where in the order the matches are, and nobody knows that. So
the search reads in order for as long as that costs less than the index is expected to, and then
asks the index for the rest.
"""

from contextlib import AsyncExitStack
from typing import Any

from service import limits
from service.common.database import Base, Session, hold_costly
from service.common.resource.collection import is_indexed, reading
from service.common.resource.pages import Page, Selection
from service.common.resource.search.backend import Target, Ways, weigh
from service.common.resource.search.weights import Search

# The filter that is a part of a text.
PART = "q"
# Records that the first statement looks through, each that follows, and each of a long search.
NEAR, STEP, FAR = 1000, 4000, 16_000
# If the index is likely to read more entries, the search is one of the costly ones.
ENTRIES = 50_000
# How many may be read for each record that the index is likely to name.
NEIGHBOURS, SCATTERED = 2 / 3, 2 / 5
# How many times as many if the page is full by then.
NEARLY = 3 / 2


def affordable(search: Search, walked: int = 0, found: int = 0, missing: int = 0) -> float:
    """Return how many records may be read in order before they are looked up.

    A record that the index names costs from half to three times as much as one read in order, and
    about half as much if the order is scattered. So many were `walked`, with so many matches
    `found` and `missing`: the page may take more if it is full soon at that rate.
    """
    worth = SCATTERED if search.reading.is_scattered else NEIGHBOURS
    seen = found / walked if walked else 0
    most = max(search.share, seen) * search.records * worth
    if seen and walked + missing / seen <= NEARLY * most:
        most *= NEARLY
    return min(most, limits.WALKED_RECORDS.value)


def step_of(left: float) -> int:
    """Return how many records the next statement looks through if so many may be read; 0: none."""
    if left <= 0:
        return 0
    return FAR if left >= FAR else STEP


async def search_page(
    session: Session, model: type[Base], selection: Selection, names: tuple[str, ...]
) -> Page:
    """Return the page of a selection, one of whose filters is for a part of one of the columns.

    Its statements see several moments: a record that moves in the order meanwhile may be there
    twice, or not at all, as between two pages.
    """
    equal = dict(selection.filters)
    part = equal.pop(PART)
    way, start = reading(model, selection)
    target = Target(model, names, tuple(equal), way, selection.fields)
    ways = Ways(session, target, part, equal)
    missing = (selection.limit or 0) + 1
    found: list[Any] = []
    search, walked, step = None, 0, NEAR
    if not is_indexed(model, way):
        search = await weigh(session, model, names, part, way)
        if search.reading.sorted_at_once > max(NEAR, affordable(search)):
            step = 0
    async with AsyncExitStack() as stack:
        while search is None or step:
            rows = await ways.walk(start, step, missing)
            matches = [row for row in rows if row.record is not None]
            found += matches
            if len(rows) == len(matches):
                return selection.page(found)
            missing -= len(matches)
            start = rows[-1][1:]
            search = search or await weigh(session, model, names, part, way)
            is_first, walked = walked == 0, walked + step
            left = affordable(search, walked, len(found), missing) - walked
            # One connection for all that follows: a long search does not wait for each statement.
            if is_first and (left > STEP or search.entries > ENTRIES):
                ways.session = await stack.enter_async_context(hold_costly(session))
            step = step_of(left) if search.reading.sorted_at_once <= NEAR else 0
        return selection.page([*found, *await ways.look_up(search, start, missing)])
