from service.common.resource.cursors import Cursor
from service.common.resource.ordering import order_of
from service.common.resource.pages import Selection
from service.foss.backend import FOSS

ORDER = order_of(("name",), FOSS.keys)


def selection(after: Cursor | None, limit: int = 50) -> Selection:
    return Selection(ORDER, (), ("id",), limit, after)


def test_a_slow_later_page_does_not_make_the_first_page_costly() -> None:
    first, later = selection(None), selection(Cursor(("Ada", 1)))

    assert first.kind != later.kind


def test_another_cursor_or_limit_does_not_make_a_page_cheap_again() -> None:
    assert selection(Cursor(("Ada", 1))).kind == selection(Cursor(("Bob", 2)), 200).kind
