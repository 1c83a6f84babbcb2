from service.common.resource.cursors import Cursor
from service.common.resource.ordering import order_of
from service.common.resource.pages import Selection
from tests.blueprints.item.backend import ITEM
from tests.blueprints.item.payloads import ListItem

ORDER = order_of(("name",), ITEM.keys)


def selection(after: Cursor | None = None, limit: int = 50, **filters: str) -> Selection:
    return Selection(ORDER, tuple(filters.items()), ("id",), limit, after)


def test_a_slow_later_page_does_not_make_the_first_page_costly() -> None:
    first, later = selection(), selection(Cursor(("Ada", 1)))

    assert first.kind != later.kind


def test_another_cursor_or_limit_does_not_make_a_page_cheap_again() -> None:
    assert selection(Cursor(("Ada", 1))).kind == selection(Cursor(("Bob", 2)), 1).kind


# PostgreSQL may have waited until the service had read the beginning of the long one.
def test_a_slow_long_page_does_not_make_shorter_ones_costly() -> None:
    kinds = [ITEM.selection(ListItem(), limit).kind for limit in (50, 51, 200, None)]

    assert kinds[0] != kinds[1]
    assert len({*kinds[1:]}) == 1


def test_a_slow_value_of_a_filter_does_not_make_other_values_costly() -> None:
    assert selection(name="Ada").kind != selection(name="Bob").kind


def test_another_text_does_not_make_a_search_cheap_again() -> None:
    assert selection(q="ada").kind == selection(q="bob").kind
