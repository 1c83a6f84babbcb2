"""Checkout folders whose names have characters with a meaning to shells, URLs and ini files."""

import os
from pathlib import Path

import pytest

from tests.machines.checkout import Checkout, git, refused, succeeded
from tests.machines.conftest import PATH, Clone

# Two names, because a socket's path is limited to about 100 bytes.
SHORT = "c++ R&D C# it's x(1) %2Fx"
LONG = f"{SHORT} " + r'"q" $HOME ${HOME} `id` ;s \b [a] {b} |<>,=@!~^*? ä 漢 ' + "long" * 10

# Some on files, some on a database, some on programs. They run on the machine's own Python, which
# may be an older release than the one that runs this test.
TESTS = [
    "unit/test_contract.py",
    "unit/common/test_embedded.py",
    "unit/common/test_import_readers.py",
    "ops/test_psql.py",
]


@pytest.mark.machines
@pytest.mark.long
@pytest.mark.parametrize("name", [SHORT, LONG], ids=["short", "long"])
def test_every_command_works_in_any_path(clone: Clone, name: str) -> None:
    checkout = clone(name, prepared=name == SHORT)
    checkout.up()
    checkout.create("Ada", "ada@example.org")
    succeeded(checkout.just("ps"))
    assert succeeded(checkout.just("psql", "-tAc", "select name from foss")) == "Ada\n"
    assert "Nothing is pending" in succeeded(checkout.just("migrate-sql"))

    succeeded(checkout.just("export", "a file.csv"))
    succeeded(checkout.just("backup", "a file.dump"))
    with (checkout.directory / "b.ndjson").open("w") as file:
        file.write('{"name": "Bob", "email": "bob@example.org"}\n')
    succeeded(checkout.just("import", "b.ndjson"))
    assert checkout.find("example.org") == ["Ada", "Bob"]
    succeeded(checkout.just("restore", "a file.dump"))
    assert checkout.find("example.org") == ["Ada"]

    succeeded(checkout.just("revision", "nothing new"))
    succeeded(checkout.just("migrate"))
    succeeded(checkout.just("downgrade"))
    succeeded(checkout.just("down"))
    assert checkout.processes() == []


@pytest.mark.machines
def test_the_tests_and_the_checks_work_in_any_path(clone: Clone) -> None:
    checkout = clone(LONG)

    succeeded(checkout.just("test", "-q", *(f"tests/{name}" for name in TESTS)))
    succeeded(checkout.run(".venv/bin/ruff", "check"))
    # A file that imports nothing: the others take a minute.
    succeeded(checkout.run(".venv/bin/mypy", "service/name.py"))
    for check in ("check-contract", "check-migrations"):
        succeeded(checkout.run(".venv/bin/python", "-m", "ops", check))


MADE = (".local", ".tools", ".venv")


@pytest.mark.parametrize("name", ["a:b", "a\nb", "a\x1bb", "a\udcffb"], ids=ascii)
def test_a_path_with_a_character_that_cannot_work_is_refused(
    sources: Path, tmp_path: Path, name: str
) -> None:
    directory = tmp_path / name
    git("clone", "--quiet", str(sources), str(directory), cwd=tmp_path)
    checkout = Checkout(directory, os.getuid(), os.getgid(), 0o022, {"PATH": PATH})
    try:
        refused(checkout.just("up", "local"), "path|folder|director", "move|rename|clone|another")
        assert [path for name in MADE for path in directory.glob(f"{name}*")] == []
    finally:
        checkout.kill()
