"""Commands at the same time, a power cut, a full disk."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from tests.machines.checkout import finish, refused, succeeded
from tests.machines.conftest import Clone

pytestmark = pytest.mark.machines


def test_commands_may_run_at_the_same_time(clone: Clone) -> None:
    one, other = clone("one", prepared=False), clone("other")
    for setup in [one.begin("./just", "setup") for _ in range(2)]:
        succeeded(finish(setup))
    for up in [checkout.begin("./just", "up", "local") for checkout in (one, one, other)]:
        succeeded(finish(up))
    one.create("Ada", "ada@example.org")

    assert (one.find("example.org"), other.find("example.org")) == (["Ada"], [])
    for down in [checkout.begin("./just", "down") for checkout in (one, one, other)]:
        succeeded(finish(down))
    assert one.processes() + other.processes() == []
    assert list(one.directory.glob(".tools.*")) == []


def test_after_a_power_cut_the_next_start_finds_the_data(clone: Clone) -> None:
    checkout = clone("cut")
    checkout.up()
    checkout.create("Ada", "ada@example.org")
    checkout.kill()
    # After a restart, other processes may have the old process ids.
    other = checkout.begin("sleep", "300")
    files = [*checkout.state.rglob("*.pid")]
    for file in files:
        first, newline, rest = file.read_text().partition("\n")
        file.write_text(f"{other.pid}{newline}{rest}")
        assert first.isdecimal()
    try:
        assert {file.name for file in files} >= {"postmaster.pid", "supervisor.pid"}
        checkout.up()
        assert checkout.find("example.org") == ["Ada"]
        succeeded(checkout.just("ps"))
        succeeded(checkout.just("down"))
        assert psutil.pid_exists(other.pid)
        assert other.poll() is None
    finally:
        other.kill()
        other.communicate()


@contextmanager
def disk(place: Path, uid: int) -> Iterator[None]:
    """Mount a disk that has too little room."""
    options = f"size=20m,mode=755,uid={uid},gid={uid}"
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", place], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", place], check=True)


def resize(place: Path, megabytes: int) -> None:
    subprocess.run(["mount", "-o", f"remount,size={megabytes}m", place], check=True)


def used(place: Path) -> int:
    return shutil.disk_usage(place).used >> 20


def test_a_full_disk_is_a_sentence_and_nothing_half_made_stays(clone: Clone) -> None:
    checkout = clone("full", prepared=False)
    with disk(checkout.directory, checkout.uid):
        succeeded(checkout.run("git", "clone", "--quiet", "../sources", "."))
        for megabytes in (20, 100):
            resize(checkout.directory, megabytes)
            refused(checkout.just("setup"), "space|full")
        assert list(checkout.directory.glob(".tools.*")) == []
        assert list(checkout.directory.glob(".venv*")) == []
        resize(checkout.directory, 2000)
        succeeded(checkout.just("setup"))

        resize(checkout.directory, used(checkout.directory) + 10)
        refused(checkout.just("up", "local"), "space|full")
        assert checkout.processes() == []
        assert not (checkout.state / "postgres" / "PG_VERSION").exists()
        resize(checkout.directory, 2000)
        checkout.up()
        assert checkout.find("example.org") == []
        succeeded(checkout.just("down"))
