"""The real commands, in a copy of the project."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from ops.generate import journal
from ops.local import nginx
from tests.ops.project import Project, copy_project, hide_nginx, serve_items


@pytest.fixture(autouse=True)
def own_journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give each test a journal: tests and commands at the same time may hold that of ROOT."""
    monkeypatch.setattr(journal, "FOLDER", tmp_path / "own" / "journal")
    monkeypatch.setattr(journal, "LIST", tmp_path / "own" / "journal" / "files.json")
    monkeypatch.setattr(journal, "LOCK", tmp_path / "own" / "journal.lock")


@pytest.fixture(
    scope="session",
    params=[
        pytest.param(
            "nginx",
            marks=pytest.mark.skipif(nginx.executable() is None, reason="nginx is not installed"),
        ),
        "no nginx",
    ],
)
def running(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Project]:
    """Give a running stack, with nginx and without.

    The tests of several files share it.
    """
    directory = tmp_path_factory.mktemp("stack")
    project = copy_project(directory / "project")
    serve_items(project)
    if request.param == "no nginx":
        project.environment["PATH"] = hide_nginx(directory, project.environment["PATH"])
    started = project.just("up", "local")
    assert started.returncode == 0, started.stdout + started.stderr
    yield project
    project.just("down")


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    """Give a copy in which nothing runs."""
    copy = copy_project(tmp_path / "project")
    yield copy
    if (copy.directory / ".local").exists():
        copy.just("down")
