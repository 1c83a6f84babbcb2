"""What psql is told of a database URL."""

import pytest

from local.psql import without_password


@pytest.mark.parametrize(
    ("url", "address", "password"),
    [
        ("postgresql://u:p@h:1/d", "postgresql://u@h:1/d", "p"),
        ("postgresql://u:p%40%3A@h/d", "postgresql://u@h/d", "p@:"),
        ("postgresql://u@h/d", "postgresql://u@h/d", None),
        ("postgresql://u:@/d?host=/run/a b", "postgresql://u@/d?host=%2Frun%2Fa%20b", None),
        ("postgresql://u:p@h1:1,h2:2/d", "postgresql://u@h1:1,h2:2/d", "p"),
        ("postgresql://h/d?user=u&password=p", "postgresql://h/d?user=u", "p"),
        ("postgresql:///d?sslmode=disable", "postgresql:///d?sslmode=disable", None),
    ],
)
def test_the_password_goes_apart(url: str, address: str, password: str | None) -> None:
    assert without_password(url) == (address, password)
