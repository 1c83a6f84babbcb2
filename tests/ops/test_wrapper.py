"""`./just`: found from anywhere, and quick and clear."""

import shutil
import subprocess
import sys
from pathlib import Path

from tests.ops.project import ROOT, copy_project


def test_it_works_from_elsewhere_and_in_a_path_with_a_space(tmp_path: Path) -> None:
    project = copy_project(tmp_path / "a project")
    done = subprocess.run(
        [project.directory / "just", "ps"],
        cwd=tmp_path,
        env=project.environment,
        capture_output=True,
        text=True,
        check=False,
    )

    assert (
        f"Nothing is running. Start the stack with `'{project.directory}/just' up`." in done.stdout
    ), done.stderr


def test_without_a_command_it_lists_the_commands_in_groups() -> None:
    done = subprocess.run(["./just"], cwd=ROOT, capture_output=True, text=True, check=True)

    assert "[start]" in done.stdout
    assert "up" in done.stdout


def test_without_python_it_says_what_to_install(tmp_path: Path) -> None:
    project = copy_project(tmp_path / "project")
    for name in (".tools", ".venv"):
        (project.directory / name).unlink()
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("sh", "dirname", "cmp", "mktemp", "mkdir", "rm"):
        (programs / name).symlink_to(str(shutil.which(name)))
    done = subprocess.run(
        ["./just", "ps"],
        cwd=project.directory,
        env={"PATH": str(programs)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 1
    assert "Python 3.11" in done.stderr
    assert list(project.directory.glob(".tools*")) == []


def test_a_command_that_only_looks_does_not_load_the_database_libraries() -> None:
    """They take longer than all the rest of such a command."""
    program = "import sys, ops.modes; sys.exit('sqlalchemy' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=False).returncode == 0
