"""The secrets of the stack in containers."""

from pathlib import Path

import pytest

from local.compose import SECRETS, write_secrets
from local.console import CommandError


def test_missing_secrets_are_added_and_what_is_there_stays(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    path.write_text("HTTP_PORT=80\nSECURE_API_KEY=mine\nAPI_PASSWORD=\n")
    added = write_secrets(path)
    text = path.read_text()
    values = dict(line.split("=", 1) for line in text.splitlines())

    assert added == ["POSTGRES_PASSWORD", "MIGRATE_PASSWORD", "API_PASSWORD"]
    assert (values["HTTP_PORT"], values["SECURE_API_KEY"]) == ("80", "mine")
    assert all(len(values[name]) == 48 for name in added)


def test_a_new_file_is_for_its_owner_alone_and_a_second_time_nothing_changes(
    tmp_path: Path,
) -> None:
    path = tmp_path / ".env"

    assert write_secrets(path) == list(SECRETS)
    assert path.stat().st_mode & 0o777 == 0o600
    before = path.read_text()
    assert write_secrets(path) == []
    assert path.read_text() == before


@pytest.mark.parametrize("value", ["p@ss", "a/b", "a$HOME", "mi?gr#ate", '"quoted"', "a b"])
def test_a_secret_that_compose_or_an_address_would_read_otherwise_is_refused(
    tmp_path: Path, value: str
) -> None:
    path = tmp_path / ".env"
    path.write_text(f"API_PASSWORD={value}\n")

    with pytest.raises(CommandError, match="API_PASSWORD"):
        write_secrets(path)
    assert path.read_text() == f"API_PASSWORD={value}\n"
