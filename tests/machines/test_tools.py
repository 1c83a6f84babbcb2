"""The tools of the checkout: line ends, an upgraded Python, what was cut short, no network."""

import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.machines.checkout import Checkout, git, succeeded
from tests.machines.conftest import Clone


def test_git_for_windows_checks_out_the_same_files(sources: Path, tmp_path: Path) -> None:
    git("clone", "--quiet", "--config=core.autocrlf=true", str(sources), "clone", cwd=tmp_path)
    listed = git("ls-files", "--eol", cwd=tmp_path / "clone").splitlines()

    assert [line for line in listed if "w/crlf" in line or "w/mixed" in line] == []


def upgrade_away(venv: Path) -> None:
    for python in venv.glob("bin/python*"):
        python.unlink()
        python.symlink_to("/usr/bin/python3.0")


def upgrade(venv: Path) -> None:
    """Let the environment be one of an older Python, which `python3` no longer is."""
    [packages] = venv.glob("lib/python3.*")
    packages.rename(packages.with_name("python3.10"))
    configuration = venv / "pyvenv.cfg"
    configuration.write_text(re.sub(r"= 3\.\d+(\.\d+)?", "= 3.10", configuration.read_text()))


def cut_short(venv: Path) -> None:
    (venv / "pyvenv.cfg").unlink()
    (venv / "bin" / "python").unlink()


@pytest.mark.machines
@pytest.mark.parametrize(
    "damage",
    [
        upgrade_away,
        pytest.param(upgrade, marks=pytest.mark.long),
        pytest.param(cut_short, marks=pytest.mark.long),
    ],
)
def test_an_environment_that_does_not_work_is_made_anew(
    clone: Clone, damage: Callable[[Path], None]
) -> None:
    checkout = clone("venv")
    damage(checkout.directory / ".venv")

    succeeded(checkout.just("setup"))
    succeeded(checkout.run(".venv/bin/python", "-c", "import quart"))


@pytest.mark.machines
@pytest.mark.long
def test_tools_that_do_not_work_are_made_anew(clone: Clone) -> None:
    checkout = clone("tools")
    for name in ("just", "uv"):
        (checkout.directory / ".tools" / "bin" / name).unlink()
        checkout.outdate("development.txt")
        succeeded(checkout.just("setup"))


@pytest.mark.machines
def test_a_second_start_needs_no_network(clone: Clone) -> None:
    checkout = clone("offline", HOME="/nonexistent")
    curl = f"curl -sS --fail {checkout.url}/foss"
    commands = f"./just up local && {curl} && ./just ps && ./just down"
    assert without_network(checkout, commands).strip().endswith("The data are kept.")


def without_network(checkout: Checkout, commands: str) -> str:
    """Run the commands with only a loopback address."""
    user = f"setpriv --reuid {checkout.uid} --regid {checkout.gid} --clear-groups"
    inside = f"ip link set lo up && exec {user} sh -c {shlex.quote(commands)}"
    path = f"{checkout.environment['PATH']}:/usr/sbin:/sbin"
    return succeeded(checkout.as_root().run("unshare", "--net", "sh", "-c", inside, PATH=path))
