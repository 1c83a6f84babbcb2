"""The secrets of the stack in containers: what is added to `.env`, and what is left as it is."""

import os
from pathlib import Path

import pytest

from ops.console import CommandError
from ops.containers import passwords
from service.settings.env_file import read_env_file


def add_missing(path: Path) -> list[str]:
    names = passwords.missing(path)
    passwords.write(names, {}, path)
    return names


def test_missing_secrets_are_added_and_existing_ones_are_kept(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    path.write_text("HTTP_PORT=80\nSECURE_API_KEY=mine\nAPI_PASSWORD=")
    added = add_missing(path)
    values = read_env_file(path)

    assert added == ["POSTGRES_PASSWORD", "MIGRATE_PASSWORD", "API_PASSWORD", "GRAFANA_PASSWORD"]
    assert (values["HTTP_PORT"], values["SECURE_API_KEY"]) == ("80", "mine")
    assert all(len(values[name]) == 48 for name in added)


@pytest.mark.parametrize("umask", [0o002, 0o022, 0o077, 0o000])
def test_the_file_is_for_its_owner_alone_and_a_second_time_nothing_changes(
    tmp_path: Path, umask: int
) -> None:
    path = tmp_path / ".env"
    before_umask = os.umask(umask)
    try:
        path.write_text("HTTP_PORT=80\n")
        added = add_missing(path)
    finally:
        os.umask(before_umask)
    before = path.read_text()

    assert added == list(passwords.NAMES)
    assert path.stat().st_mode & 0o777 == 0o600
    assert passwords.missing(path) == []
    assert path.read_text() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("value", ["p@ss", "a/b", "a$HOME", "mi?gr#ate", "a b", "'it\"s'"])
def test_a_secret_that_compose_or_an_address_would_read_otherwise_is_refused(
    tmp_path: Path, value: str
) -> None:
    path = tmp_path / ".env"
    path.write_text(f"API_PASSWORD={value}\n")

    with pytest.raises(CommandError, match="API_PASSWORD"):
        passwords.missing(path)


@pytest.mark.parametrize("line", ['API_PASSWORD="secret"', "export API_PASSWORD='secret'\r"])
def test_quotes_and_export_are_no_part_of_a_secret(tmp_path: Path, line: str) -> None:
    path = tmp_path / ".env"
    path.write_bytes(f"{line}\n".encode())

    assert "API_PASSWORD" not in passwords.missing(path)
    assert read_env_file(path)["API_PASSWORD"] == "secret"


def test_a_file_that_cannot_be_written_is_unchanged(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    path.write_text("HTTP_PORT=80\n")
    # A folder in the way, as a full disk would be.
    (tmp_path / ".env.new").mkdir()

    with pytest.raises(CommandError, match="can't be written"):
        add_missing(path)
    assert path.read_text() == "HTTP_PORT=80\n"


def test_a_device_in_place_of_the_file_stays(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    path.symlink_to(os.devnull)

    with pytest.raises(CommandError, match="not a regular file"):
        add_missing(path)
    assert Path(os.devnull).is_char_device()


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    (tmp_path / "elsewhere").write_text("HTTP_PORT=80\n")
    path.symlink_to(tmp_path / "elsewhere")
    add_missing(path)

    assert path.is_symlink()
    assert passwords.missing(tmp_path / "elsewhere") == []
