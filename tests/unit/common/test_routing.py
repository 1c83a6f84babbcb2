"""Routes, and ids in paths."""

import pytest
from quart import Blueprint
from werkzeug.routing import Map

from service.common.web.routing import RecordId
from service.limits import RECORD_ID_DIGITS
from service.settings import Settings
from tests.app import create_app


@pytest.mark.limit("RECORD_ID_DIGITS")
@pytest.mark.parametrize("more", [0, 1, 10_000])
def test_the_digits_of_an_id_beyond_the_limit_are_not_converted(more: int) -> None:
    most = RECORD_ID_DIGITS.value

    assert RecordId(Map()).to_python("9" * (most + more)) == int("9" * most)


def test_a_route_to_which_werkzeug_would_redirect_is_refused(settings: Settings) -> None:
    app, books = create_app(settings), Blueprint("books", __name__, url_prefix="/books")
    books.add_url_rule("/", "list", view_func=lambda: "")

    with pytest.raises(ValueError, match="`/books/`: leave out the slash"):
        app.register_blueprint(books)
