"""`just rename`, in a clone: what it changes, what still works, what it refuses."""

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from ops.console import CommandError
from ops.generate import rename
from service.name import NAME, TITLE
from service.settings import ROOT, Settings
from tests.machines.checkout import copy_sources, git
from tests.ops.project import FOREIGN, Project, project_in
from tests.socket.conftest import KEY, running

pytestmark = pytest.mark.skipif(NAME != rename.ORIGIN, reason="this project has its own name")


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Return a clone of the working tree."""
    directory = tmp_path_factory.mktemp("rename") / "clone"
    directory.mkdir()
    copy_sources(directory)
    return project_in(directory)


@pytest.fixture(scope="module")
def renamed(clone: Project, tmp_path_factory: pytest.TempPathFactory) -> tuple[Project, str]:
    """Return a renamed clone, and what the command printed."""
    directory = tmp_path_factory.mktemp("renamed") / "clone"
    git("clone", "--quiet", str(clone.directory), str(directory), cwd=clone.directory)
    project = project_in(directory)
    done = project.just("rename", "my-shop")
    assert done.returncode == 0, done.stderr
    return project, done.stdout


@pytest.mark.copies
def test_the_old_name_stays_only_in_what_is_about_the_starter(
    renamed: tuple[Project, str],
) -> None:
    project, said = renamed

    found = git("grep", "-i", "--name-only", rename.ORIGIN, cwd=project.directory).split()
    readme = (project.directory / "README.md").read_text()

    assert [path for path in found if not path.startswith(rename.KEPT)] == []
    assert readme.startswith("# My Shop\n")
    assert readme.lower().count(rename.ORIGIN) == 1
    assert "The project is called My Shop now." in said


@pytest.mark.copies
def test_the_name_is_written_in_the_form_of_each_place(renamed: tuple[Project, str]) -> None:
    project, _ = renamed
    compose = (project.directory / "compose.yaml").read_text()

    assert set(re.findall(r"@postgres/(\S+)", compose)) == {"my_shop"}
    assert "POSTGRES_DB: &database my_shop\n" in compose
    assert rename.replaced("Flusk: flusk.dump, flusk_client", "my-shop") == (
        "My Shop: my-shop.dump, my_shop_client"
    )
    assert 'name = "my-shop"\n' in (project.directory / "pyproject.toml").read_text()


@pytest.mark.copies
def test_the_changelog_and_the_released_contract_begin_anew(renamed: tuple[Project, str]) -> None:
    project, _ = renamed
    docs = project.directory / "docs"

    assert (project.directory / "CHANGELOG.md").read_text().endswith("\n## [Unreleased]\n")
    assert (docs / "openapi-released.json").read_text() == (docs / "openapi.json").read_text()


@pytest.mark.copies
@pytest.mark.parametrize(
    "command",
    [
        ("ops", "check-errors"),
        ("ops", "check-limits"),
        ("ops", "check-contract"),
        ("ruff", "check"),
        ("ruff", "format", "--check"),
        ("pytest", "--quiet", "-p", "no:cacheprovider", "tests/test_layers.py"),
    ],
    ids=" ".join,
)
def test_the_checks_of_a_renamed_project_succeed(
    renamed: tuple[Project, str], command: tuple[str, ...]
) -> None:
    project, _ = renamed
    # Redocly's rules, which do not depend on the name, need packages of their own.
    offline = {"UV_OFFLINE": "1", "UV_NO_CACHE": "1", "REQUIRE_REDOCLY": ""}

    done = run(project, *command, **offline)

    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.copies
def test_a_renamed_service_stores_records_and_has_the_new_title(
    renamed: tuple[Project, str],
    tmp_path: Path,
    database_url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    project, _ = renamed
    ada = {"name": "Ada", "email": "ada@renamed.example"}

    for variable in FOREIGN:
        monkeypatch.delenv(variable, raising=False)
    with running(tmp_path, database_url, root=str(project.directory)) as service:
        contract = httpx.get(f"{service.url}/openapi.json").json()
        created = httpx.post(f"{service.url}/item", json=ada, headers={"X-API-Key": KEY})

    assert contract["info"]["title"] == "My Shop"
    assert (created.status_code, created.json()["name"]) == (201, "Ada")


@pytest.mark.parametrize(
    "name",
    ["", "x", "My-Shop", "3d", "my_shop", "my shop", "shop-", "a--b", "a" * 41, "\N{KELVIN SIGN}m"],
)
def test_a_name_that_breaks_the_rule_is_refused(name: str) -> None:
    with pytest.raises(CommandError, match=re.escape(f"can't be the name. {rename.RULE}")):
        rename.require_renamable(name)


@pytest.mark.parametrize("name", ["postgres", "quart", "true", rename.ORIGIN])
def test_a_name_that_is_in_use_is_refused(name: str) -> None:
    with pytest.raises(CommandError, match=f"{name} can't be the name: it is that of"):
        rename.require_renamable(name)


@pytest.mark.parametrize("name", ["ab", "my-shop", "shop2", "a-b", "a" * 40])
def test_a_name_that_keeps_the_rule_is_accepted(name: str) -> None:
    rename.require_renamable(name)


@pytest.mark.copies
def test_a_second_run_is_refused(renamed: tuple[Project, str]) -> None:
    refused(renamed[0], "my-shop", "This project is already called my-shop.")


@pytest.mark.copies
def test_a_checkout_with_uncommitted_changes_is_refused(clone: Project) -> None:
    with present(clone.directory / "notes.txt"):
        refused(clone, "my-shop", "There are uncommitted changes: notes.txt.")


@pytest.mark.copies
def test_the_data_of_a_stack_under_the_old_name_are_refused(clone: Project) -> None:
    (clone.directory / ".local").mkdir()
    with present(clone.directory / ".local" / "postgres"):
        refused(clone, "my-shop", f"has the data of {NAME}.")
    file = clone.directory / ".env"
    clone.environment["ENV_FILE"] = str(file)
    with present(file, "POSTGRES_PASSWORD=secret\n"):
        refused(clone, "my-shop", f"containers whose database is called {NAME}.")


@pytest.mark.copies
def test_a_folder_that_is_no_git_checkout_is_refused(clone: Project) -> None:
    (clone.directory / ".git").rename(clone.directory / ".elsewhere")
    done = run(clone, "ops", "rename", "my-shop")
    (clone.directory / ".elsewhere").rename(clone.directory / ".git")

    assert done.returncode == 1
    assert "needs a git checkout" in done.stderr


def test_ruff_is_looked_for_before_anything_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rename, "find_spec", lambda _: None)
    # What comes next would rename this project.
    monkeypatch.setattr(rename, "_require_clean", pytest.fail)
    with pytest.raises(CommandError, match="ruff, which formats the renamed files, is not inst"):
        rename.run(Settings(), ["my-shop"])


def test_the_readme_loses_the_sections_about_the_starter() -> None:
    readme = rename.own_readme((ROOT / "README.md").read_text(), "My Shop")

    assert "## Start\n" in readme
    assert "## Documentation\n" in readme
    assert "#speed" not in readme
    assert TITLE not in readme.removesuffix(f"{rename.CREDIT}\n")


def refused(project: Project, name: str, message: str) -> None:
    before = git("status", "--porcelain", cwd=project.directory)

    done = run(project, "ops", "rename", name)

    assert done.returncode == 1
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert git("status", "--porcelain", cwd=project.directory) == before


def run(project: Project, *module: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", *module],
        cwd=project.directory,
        env={**project.environment, **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@contextmanager
def present(path: Path, content: str = "") -> Iterator[None]:
    """Let a file be there for a while."""
    path.write_text(content)
    yield
    path.unlink()
