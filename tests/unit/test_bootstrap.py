"""The set-up: unsupported machines, package indexes, and atomicity."""

import os
import platform
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from ops import bootstrap, environment
from ops.console import CommandError


@pytest.mark.parametrize("name", ["a:b", "a\nb", "a\tb", "a\x1bb", "a\udcffb"])
def test_an_unsupported_path_is_reported(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(bootstrap, "ROOT", Path("/x") / name)

    with pytest.raises(CommandError, match="Move the folder") as caught:
        bootstrap.require_usable()

    assert "\n" not in str(caught.value)


def test_every_other_printable_character_is_fine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        bootstrap, "ROOT", Path('/x/c++ R&D C# it\'s x(1) %2F "q" $ ;s \\b [a] ä 漢')
    )

    bootstrap.require_usable()


@pytest.mark.parametrize(
    ("libc", "machine"), [("x86_64-pc-linux-musl", "x86_64"), ("riscv64-unknown-gnu", "riscv64")]
)
def test_the_message_on_a_machine_without_wheels_names_database_url(
    monkeypatch: pytest.MonkeyPatch, libc: str, machine: str
) -> None:
    monkeypatch.setattr(sysconfig, "get_config_var", lambda _name: libc)
    monkeypatch.setattr(platform, "machine", lambda: machine)

    with pytest.raises(CommandError, match="DATABASE_URL"):
        bootstrap.require_usable()


@pytest.mark.parametrize("home", ["", "/nonexistent", "/proc/self"])
def test_a_user_without_a_home_gets_one_in_the_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, home: str
) -> None:
    monkeypatch.setattr(bootstrap, "ROOT", tmp_path)
    monkeypatch.setattr(os, "environ", {"HOME": home, "XDG_CACHE_HOME": "/nonexistent"})
    monkeypatch.setattr(os, "access", lambda path, _mode: path != home)

    bootstrap.give_home()

    assert os.environ == {"HOME": str(tmp_path / ".local" / "home")}
    assert (tmp_path / ".local" / "home").is_dir()


def test_a_folder_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    folder, lock = tmp_path / "folder", tmp_path / "lock.txt"
    lock.write_text("1")
    with bootstrap.replacing(folder, lock) as fresh:
        fresh.mkdir()
        (fresh / "file").write_text("old")
    (tmp_path / "folder.killed.part").mkdir()
    with pytest.raises(FileNotFoundError), bootstrap.replacing(folder, lock):
        pass  # Like a failed installation: nothing is moved into place.

    assert (folder / "file").read_text() == "old"
    assert bootstrap.is_current(folder, lock)
    lock.write_text("1\n    # via another name\n")
    assert bootstrap.is_current(folder, lock)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder", "lock.txt"]

    lock.write_text("2")

    assert not bootstrap.is_current(folder, lock)


def test_an_environment_whose_python_is_gone_does_not_work(tmp_path: Path) -> None:
    (tmp_path / "python").symlink_to(tmp_path / "gone")

    assert not bootstrap.works(tmp_path / "python")
    assert bootstrap.works(Path(sys.executable))


def test_a_failed_install_says_what_to_check(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(CommandError, match="for the reason above"):
        bootstrap.must(["sh", "-c", "echo because; exit 3"], {"PATH": os.defpath})

    assert capfd.readouterr().err == "because\n"


def test_all_else_of_pip_and_uv_stays_out(monkeypatch: pytest.MonkeyPatch) -> None:
    foreign = ("PIP_TARGET", "PIP_CONSTRAINT", "UV_PYTHON", "UV_PROJECT", "PYTHONPATH")
    for name in foreign:
        monkeypatch.setenv(name, "x")

    assert not {*foreign} & {*environment.for_pip(), *environment.for_uv()}


def test_python_is_found_by_the_script_even_if_the_first_one_is_broken(tmp_path: Path) -> None:
    for name, line in (("python3", "exit 1"), ("python3.14", f'exec "{sys.executable}" "$@"')):
        (tmp_path / name).write_text(f"#!/bin/sh\n{line}\n")
        (tmp_path / name).chmod(0o755)
    done = subprocess.run(
        ["./just", "--version"],
        cwd=bootstrap.ROOT,
        env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "PYTHONHOME": "/nowhere"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.stdout.startswith("just "), done.stderr
