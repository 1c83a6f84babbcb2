"""The summary of a run says how to run what was skipped."""

import pytest

from tests.summary import remedy


@pytest.mark.parametrize(
    ("reason", "command"),
    [
        ("nginx is not installed", "apt-get install nginx"),
        ("PostgreSQL 15 (postgresql-15) is not installed", "apt-get install postgresql"),
        ("curl is not installed", "apt-get install curl"),
        ("only root can give a file away", "as root"),
    ],
)
def test_a_reason_has_its_remedy(reason: str, command: str) -> None:
    assert command in remedy(reason)


@pytest.mark.parametrize(
    "reason",
    [
        "this machine has no IPv6",
        "Chromium is not installed; on Debian: `apt-get install chromium`.",
    ],
)
def test_there_is_none_to_add_where_there_is_none_or_the_reason_has_it(reason: str) -> None:
    assert remedy(reason) == ""
