"""The headers of a request: what werkzeug's own find, by an index."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from werkzeug.datastructures import Headers

from service import limits
from service.common.web.request_headers import RequestHeaders

NAMES = ["accept", "Accept", "ACCEPT", "x-request-id", "content-length", "missing"]
PAIRS = st.lists(st.tuples(st.sampled_from(NAMES[:-1]), st.text("ab1, é", max_size=5)))


@given(PAIRS, st.sampled_from(NAMES))
def test_look_ups_find_the_same_as_werkzeug(pairs: list[tuple[str, str]], name: str) -> None:
    known = Headers(pairs)
    sent = [(key.encode(), value.encode("latin-1")) for key, value in pairs]
    headers = RequestHeaders(sent, "127.0.0.1")

    assert list(headers) == [("Remote-Addr", "127.0.0.1"), *known]
    assert (name in headers) == (name in known)
    assert headers.get(name) == known.get(name)
    assert headers.get(name, "default") == known.get(name, "default")
    assert headers.get(name, 7, type=int) == known.get(name, 7, type=int)
    assert headers.getlist(name) == known.getlist(name)
    assert headers.getlist(name, type=int) == known.getlist(name, type=int)


def test_the_address_of_a_client_is_never_taken_from_its_header() -> None:
    headers = RequestHeaders([(b"remote-addr", b"10.0.0.1")], "127.0.0.1")

    assert headers["Remote-Addr"] == "127.0.0.1"
    assert headers.get("remote-addr") == "127.0.0.1"


def test_they_are_immutable() -> None:
    with pytest.raises(TypeError):
        RequestHeaders()["accept"] = "a"


@pytest.mark.limit("HEADER_ITEMS")
@pytest.mark.parametrize("name", ["Accept", "Prefer", "Access-Control-Request-Headers"])
@pytest.mark.parametrize("lines", [1, 3])
def test_the_items_of_a_list_beyond_the_limit_are_ignored(name: str, lines: int) -> None:
    items = [f"a{number}" for number in range(limits.HEADER_ITEMS.value)]

    def found(*more: str) -> list[str]:
        sent = [*items, *more]
        parts = [sent[start::lines] for start in range(lines)]
        pairs = [(name.encode(), ", ".join(part).encode()) for part in parts]
        return ", ".join(RequestHeaders(pairs).getlist(name)).replace(" ", "").split(",")

    assert sorted(found()) == sorted(items)
    assert len(found("more")) == len(items)
    assert len(found(*items, *items)) == len(items)


@pytest.mark.limit("HEADER_LIST_BYTES")
@pytest.mark.parametrize(
    ("last", "items"), [("a" * 4, 2), ("a" * 5, 1), ("a" * 4 + ",", 2), ("a" * 4 + ",b", 2)]
)
def test_a_list_ends_with_the_last_item_that_fits(last: str, items: int) -> None:
    text = "text/csv".ljust(limits.HEADER_LIST_BYTES.value - 5) + "," + last
    headers = RequestHeaders([(b"accept", text.encode())])

    assert [item.strip() for item in headers["Accept"].split(",")] == ["text/csv", "aaaa"][:items]


def test_other_headers_are_as_they_were_sent() -> None:
    tags = ",".join(f'"{number}"' for number in range(1000))
    headers = RequestHeaders([(b"if-match", tags.encode()), (b"if-match", b"*")])

    assert headers.getlist("If-Match") == [tags, "*"]
