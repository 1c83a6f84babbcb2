"""The headers of a request: what werkzeug's own find, by an index."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from werkzeug.datastructures import Headers

from service.common.middleware.request_headers import RequestHeaders

NAMES = ["accept", "Accept", "ACCEPT", "x-request-id", "content-length", "missing"]
PAIRS = st.lists(st.tuples(st.sampled_from(NAMES[:-1]), st.text("ab1, é", max_size=5)))


@given(PAIRS, st.sampled_from(NAMES))
def test_what_is_looked_for_is_what_werkzeug_finds(pairs: list[tuple[str, str]], name: str) -> None:
    known = Headers(pairs)
    headers = RequestHeaders([(key.encode(), value.encode("latin-1")) for key, value in pairs])

    assert list(headers) == list(known)
    assert (name in headers) == (name in known)
    assert headers.get(name) == known.get(name)
    assert headers.get(name, "default") == known.get(name, "default")
    assert headers.get(name, 7, type=int) == known.get(name, 7, type=int)
    assert headers.getlist(name) == known.getlist(name)
    assert headers.getlist(name, type=int) == known.getlist(name, type=int)


def test_nobody_changes_them() -> None:
    with pytest.raises(TypeError):
        RequestHeaders()["accept"] = "a"
