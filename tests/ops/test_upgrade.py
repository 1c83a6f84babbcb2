"""docs/upgrade.md: its commands, in order, in a renamed project with a blueprint of its own."""

import re
import subprocess
from pathlib import Path

import pytest

from ops.generate import rename
from service.name import NAME
from service.settings import ROOT
from tests.machines.checkout import git
from tests.ops.project import Project, copy_repository, project_in

pytestmark = [
    pytest.mark.copies,
    pytest.mark.long,
    pytest.mark.skipif(NAME != rename.ORIGIN, reason="this project has its own name"),
]
AUTHOR = ("-c", "user.name=Ada", "-c", "user.email=ada@example.org")
COMMANDS = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# What git names; the documents have both in them, as the release and the project have blueprints.
CONFLICTS = ["CHANGELOG.md", "docs/architecture.md", "docs/openapi.json", "service/__init__.py"]


def just(project: Project, *arguments: str) -> None:
    done = project.just(*arguments)
    assert done.returncode == 0, done.stdout + done.stderr


def commit(project: Project, message: str) -> None:
    git("add", "--all", cwd=project.directory)
    git(*AUTHOR, "commit", "--quiet", "--message", message, cwd=project.directory)


def release(directory: Path) -> Project:
    """Return a starter that has a release."""
    copy_repository(directory)
    git("tag", "v1.0.0", cwd=directory)
    return project_in(directory)


def release_again(starter: Project) -> None:
    """Release a change: a migration, a blueprint, and a line in CHANGELOG.md."""
    just(starter, "blueprint", "label", "title:string")
    changelog = starter.directory / "CHANGELOG.md"
    changelog.write_text(
        changelog.read_text().replace("## [Unreleased]\n", "## [Unreleased]\n\n## [1.1.0]\n")
    )
    commit(starter, "Release 1.1.0")
    git("tag", "v1.1.0", cwd=starter.directory)


def clone_of(starter: Project, directory: Path) -> Project:
    """Return a project of its own that began as the release."""
    git("clone", "--quiet", str(starter.directory), str(directory), cwd=starter.directory)
    for name, value in (("user.name", "Ada"), ("user.email", "ada@example.org")):
        git("config", name, value, cwd=directory)
    project = project_in(directory)
    just(project, "rename", "my-shop")
    commit(project, "Rename")
    just(project, "blueprint", "novel", "title:string:search")
    commit(project, "Add novels")
    return project


def run(project: Project, commands: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sh", "-ec", commands],
        cwd=project.directory,
        env=project.environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_commands_of_the_page_take_a_later_release(tmp_path: Path) -> None:
    starter = release(tmp_path / "starter")
    project = clone_of(starter, tmp_path / "shop")
    release_again(starter)
    page = (ROOT / "docs" / "upgrade.md").read_text()
    add, merge, *mend = COMMANDS.findall(page)
    added = run(project, add.replace("URL", str(starter.directory)))
    merged = run(project, merge)
    conflicts = git("diff", "--name-only", "--diff-filter=U", cwd=project.directory).split()
    mended = run(project, "".join(mend))
    commit(project, "Take 1.1.0")
    registry = (project.directory / "service/__init__.py").read_text()

    assert (added.returncode, merged.returncode) == (0, 1), added.stderr + merged.stderr
    assert conflicts == CONFLICTS
    assert mended.returncode == 0, mended.stdout + mended.stderr
    assert {"novel.blueprint,", "label.blueprint,"} <= set(registry.split())
