"""How a database URL is read: as libpq does."""

import os
import pwd

import pytest

from service.settings.address import SOCKET_FOLDERS, parse_address

USER = pwd.getpwuid(os.geteuid()).pw_name


@pytest.mark.parametrize(
    ("url", "hosts"),
    [
        ("postgresql://h/d", ["h:5432"]),
        ("postgresql://u@h:1/d", ["h:1"]),
        ("postgresql://[::1]:1/d", ["[::1]:1"]),
        ("postgresql://h1,h2:2/d", ["h1:5432", "h2:2"]),
        ("postgresql://h1,h2/d?port=1", ["h1:1", "h2:1"]),
        ("postgresql://?host=h1,h2&port=1,2", ["h1:1", "h2:2"]),
        ("postgresql://h1/d?host=h2", ["h2:5432"]),
        ("postgresql://%2Frun%2Fa/d", ["/run/a/.s.PGSQL.5432"]),
        ("postgresql:///d?host=/run/a+b", ["/run/a+b/.s.PGSQL.5432"]),
        ("postgresql://?hostaddr=127.0.0.1", ["127.0.0.1:5432"]),
        ("postgresql:///d", [f"{folder}/.s.PGSQL.5432" for folder in SOCKET_FOLDERS]),
    ],
)
def test_the_hosts_of_a_url(url: str, hosts: list[str]) -> None:
    assert [str(host) for host in parse_address(url).hosts] == hosts


@pytest.mark.parametrize(
    ("url", "user", "password", "database"),
    [
        ("postgresql://", USER, None, USER),
        ("postgresql://u@h", "u", None, "u"),
        ("postgresql://u:p@h/d", "u", "p", "d"),
        ("postgresql://u%40v:%C3%A4+%2B#@h/d%2Fe", "u@v", "ä++#", "d/e"),
        ("postgresql://u:p@q@h/d", "u", "p@q", "d"),
        ("postgresql://h/d?user=u&password=p&dbname=e", "u", "p", "e"),
        ("postgresql://u@h?database=e", "u", None, "e"),
    ],
)
def test_the_user_the_password_and_the_database_of_a_url(
    url: str, user: str, password: str | None, database: str
) -> None:
    address = parse_address(url)

    assert (address.user, address.password, address.database) == (user, password, database)


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("mysql://h/d", "must begin with postgresql://"),
        ("postgresql://u:hidden@h:x/d", "its host or port is malformed"),
        ("postgresql://u:hidden@h:65536/d", "its host or port is malformed"),
        ("postgresql://u:hidden@h/d?port=0", "its host or port is malformed"),
        ("postgresql://u:hidden@[::1/d", "its host or port is malformed"),
        ("postgresql://h1,h2/d?port=1,2,3", "lists of hosts, addresses and ports differ"),
        ("postgresql://h1,h2/d?hostaddr=127.0.0.1", "lists of hosts, addresses and ports differ"),
        ("postgresql://u:hidden%FF@h/d", "not UTF-8"),
        ("postgresql://u:hidden%00@h/d", "NUL"),
        ("postgresql://u:hidden@h/d?connect_timeout=soon", "connect_timeout"),
    ],
)
def test_the_message_for_a_malformed_url_does_not_contain_it(url: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence) as caught:
        parse_address(url)

    assert "hidden" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_settings_of_the_server_are_separated_from_libpqs_parameters() -> None:
    address = parse_address("postgresql://h/d?search_path=a&keepalives=0&pgbouncer=")

    assert address.settings == {"search_path": "a", "pgbouncer": ""}
    assert address.parameters == {"keepalives": "0"}
