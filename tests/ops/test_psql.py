"""The arguments of libpq's programs for a database URL."""

import pytest

from ops.data.psql import connection

PLAIN = "postgresql://u@h:5432/d"
SOCKETS = "%2Frun%2Fpostgresql%2C%2Ftmp"


@pytest.mark.parametrize(
    ("url", "address", "password"),
    [
        ("postgresql://u:p@h:1/d", "postgresql://u@h:1/d", "p"),
        ("postgres+asyncpg://u:p%40%3A@h/d", PLAIN, "p@:"),
        ("postgresql://u:a+b#c@h/d", PLAIN, "a+b#c"),
        ("postgresql://u@h", "postgresql://u@h:5432/u", None),
        ("postgresql://u@[::1]:1/d", "postgresql://u@[::1]:1/d", None),
        (
            "postgresql://u:@/d?host=/run/a b+c",
            "postgresql://u@/d?host=%2Frun%2Fa%20b%2Bc&port=5432",
            None,
        ),
        (
            "postgresql://u@/d",
            "postgresql://u@/d?host=%2Frun%2Fpostgresql%2C%2Ftmp&port=5432%2C5432",
            None,
        ),
        ("postgresql://u:p@h1:1,h2/d", "postgresql://u@h1:1,h2:5432/d", "p"),
        ("postgresql://h/d?user=u&password=p", PLAIN, "p"),
        ("postgresql://u@h/d?ssl=require", f"{PLAIN}?sslmode=require", None),
        ("postgresql://u@h/d?connect_timeout=0.5", f"{PLAIN}?connect_timeout=1", None),
        ("postgresql://u@h/d?sslpassword=hidden", PLAIN, None),
        ("postgresql://u@h/d?prepared_statement_cache_size=0", PLAIN, None),
        (
            "postgresql://u@h/d?search_path=a b",
            f"{PLAIN}?options=-c%20search_path%3Da%5C%20b",
            None,
        ),
        (
            "postgresql://u@n/d?hostaddr=127.0.0.1",
            "postgresql://u@/d?host=n&port=5432&hostaddr=127.0.0.1",
            None,
        ),
    ],
)
def test_the_programs_get_the_parameters_of_the_url_and_the_password_separately(
    url: str, address: str, password: str | None
) -> None:
    told, environment = connection(url)

    assert (told, environment.get("PGPASSWORD")) == (address, password)


def test_the_shells_variables_for_other_programs_do_not_reach_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PGHOST", "elsewhere")
    monkeypatch.setenv("PGPASSWORD", "another")
    monkeypatch.setenv("PAGER", "less")
    _, environment = connection("postgresql://u@h/d")

    assert [name for name in environment if name.startswith("PG")] == []
    assert environment["PAGER"] == "less"
