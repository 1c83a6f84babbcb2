"""Owners and modes: umask, sudo, homes that are missing or another's, users without a name."""

import os
import stat
import subprocess
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.machines.checkout import refused, succeeded
from tests.machines.conftest import TESTER, Clone

pytestmark = pytest.mark.machines
UNKNOWN_UID = 4711


@pytest.mark.parametrize("umask", [pytest.param(0o002, marks=pytest.mark.long), 0o077], ids=oct)
def test_the_stack_works_under_any_umask_and_keeps_its_files_private(
    clone: Clone, umask: int
) -> None:
    checkout = clone(f"umask-{umask:03o}", umask=umask)
    checkout.up()
    checkout.create("Ada", "ada@example.org")

    assert checkout.find("ada") == ["Ada"]
    assert "RUNNING" in succeeded(checkout.just("ps"))
    assert succeeded(checkout.just("psql", "-tAc", "select name from foss")) == "Ada\n"
    succeeded(checkout.just("backup", "a.dump"))
    succeeded(checkout.just("down"))
    assert stat.S_IMODE(checkout.state.stat().st_mode) == 0o700
    assert stat.S_IMODE((checkout.directory / "a.dump").stat().st_mode) & 0o077 == 0


def owners(directory: Path) -> dict[Path, int]:
    return {path: path.lstat().st_uid for path in directory.rglob("*")}


def test_files_of_root_are_reported_to_the_user_and_unchanged(clone: Clone) -> None:
    checkout = clone("sudo")
    root = checkout.as_root()
    succeeded(root.just("up", "local"))
    succeeded(root.just("down"))
    before = owners(checkout.directory)

    refused(checkout.just("up", "local"), r"\.local\b", "root", "chown|remove|delete")
    assert before.items() <= owners(checkout.directory).items()
    refused(checkout.just("psql", "-c", "select 1"), r"\.local\b", "root")
    refused(checkout.just("migrate"), r"\.local\b", "root")


@pytest.mark.parametrize("name", [".env", ".local", ".tools", ".venv"])
def test_a_file_of_another_owner_is_named_with_its_owner(clone: Clone, name: str) -> None:
    checkout = clone("owner")
    path = checkout.directory / name
    if name == ".env":
        path.write_text("DRAIN_SECONDS=0\n")
    elif name == ".local":
        path.mkdir()
    else:
        checkout.outdate("tools.txt" if name == ".tools" else "development.txt")
    path.chmod(0o700)
    os.chown(path, 0, 0)

    refused(checkout.just("up", "local"), rf"{checkout.directory}/\{name}\b", "root")
    assert path.stat().st_uid == 0
    assert checkout.processes() == []


@pytest.mark.long
def test_a_home_that_cannot_be_written_is_not_needed(clone: Clone) -> None:
    checkout = clone("home")
    checkout.outdate("development.txt")
    succeeded(checkout.just("setup", HOME="/proc"))
    checkout.up(HOME="/nonexistent")
    checkout.create("Ada", "ada@example.org")

    assert (
        succeeded(checkout.just("psql", "-tAc", "select name from foss", HOME="/proc")) == "Ada\n"
    )


@pytest.mark.long
def test_a_user_without_a_name_works_on_a_database_that_is_given(
    clone: Clone, postgres: str
) -> None:
    checkout = clone("nobody", uid=UNKNOWN_UID)
    for name in ("HOME", "USER"):
        del checkout.environment[name]
    # The server of the tests is its owner's alone.
    directory = Path(parse_qs(urlsplit(postgres).query)["host"][0])
    for folder in (directory, directory.parent):
        folder.chmod(0o711)

    refused(checkout.just("up", "local"), "DATABASE_URL")
    refused(checkout.just("psql", "-c", "select 1"), "DATABASE_URL")
    succeeded(checkout.just("migrate", DATABASE_URL=postgres))
    checkout.up(DATABASE_URL=postgres)
    assert checkout.find("nobody of this name") == []
    succeeded(checkout.just("backup", "a.dump", DATABASE_URL=postgres))


def test_a_user_without_home_or_name_can_set_up_a_fresh_clone(clone: Clone) -> None:
    checkout = clone("fresh", uid=UNKNOWN_UID, prepared=False)
    for name in ("HOME", "USER"):
        del checkout.environment[name]

    succeeded(checkout.just("setup"))
    assert succeeded(checkout.run(".venv/bin/ruff", "--version"))


def test_the_tester_is_not_root(clone: Clone) -> None:
    name = succeeded(clone("name", prepared=False).run("id", "-un"))

    assert name == f"{TESTER}\n"
    assert subprocess.run(["id", "-u"], capture_output=True, check=True).stdout == b"0\n"
