"""Which writes may share a statement, by the size of their values."""

from collections.abc import Callable
from typing import Any

import pytest

from service.common.resource.batches import SHARED_CHARACTERS, may_share


@pytest.mark.limit("SHARED_CHARACTERS")
@pytest.mark.parametrize(
    ("other", "values"),
    [
        (0, lambda text: {"text": text, "number": 1, "none": None}),
        (1, lambda text: {"name": "x", "text": text}),
        # As JSON is written without spaces.
        (len('[""]'), lambda text: {"data": [text]}),
        (len('{"texts":["",1]}[]'), lambda text: {"data": {"texts": [text, 1]}, "more": []}),
    ],
)
def test_texts_and_json_count(other: int, values: Callable[[str], dict[str, Any]]) -> None:
    most = SHARED_CHARACTERS - other

    assert may_share(values("x" * most))
    assert not may_share(values("x" * (most + 1)))
