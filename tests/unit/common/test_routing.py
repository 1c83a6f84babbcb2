"""Ids in paths: how much of one is converted."""

import pytest
from werkzeug.routing import Map

from service.common.web.routing import RecordId
from service.limits import RECORD_ID_DIGITS


@pytest.mark.limit("RECORD_ID_DIGITS")
@pytest.mark.parametrize("more", [0, 1, 10_000])
def test_the_digits_of_an_id_beyond_the_limit_are_not_converted(more: int) -> None:
    most = RECORD_ID_DIGITS.value

    assert RecordId(Map()).to_python("9" * (most + more)) == int("9" * most)
