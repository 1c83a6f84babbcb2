"""A copy of the project: no developer's data, port or `.env` is touched."""

import os
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest
from alembic.script import ScriptDirectory

from tests.machines.checkout import copy_sources
from tests.ports import free_port

ROOT = Path(__file__).resolve().parent.parent.parent
COPIED = [
    *("just", "justfile", "pyproject.toml", "alembic.ini"),
    *("migrations", "nginx", "ops", "requirements", "schemas", "service"),
]
# With the cache, mypy looks only at files that differ.
TYPES = ".mypy_cache"
# Node.js and the linter of the contract, which each copy would download.
NODE = (".local/node", ".local/redocly")
# Settings of the person who runs the tests, which would change what they see; and coverage, which
# counts the files of this folder alone, not those of a copy.
FOREIGN = [
    *("COVERAGE_PROCESS_CONFIG", "COVERAGE_PROCESS_START"),
    *("APP_ENV", "BIND", "DATABASE_URL", "DATABASE_URL_FILE", "HTTP_HOST", "JUST_COMMAND"),
    *("KEEP_ALIVE_TIMEOUT", "METRICS_BIND", "TRACES_URL", "TRUSTED_PROXIES"),
    *("SECURE_API_KEY", "SECURE_API_KEY_FILE", "STATE_DIR"),
]

# For a test that takes the stack without nginx, because nginx has no part in what it shows.
ONE_STACK = pytest.mark.parametrize("running", ["no nginx"], indirect=True)


@dataclass(frozen=True)
class Project:
    """A copy of the project, and the environment that its commands run in."""

    directory: Path
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def port(self) -> int:
        """The address of `just up`."""
        return int(self.environment["HTTP_PORT"])

    @property
    def url(self) -> str:
        """The URL of the service."""
        return f"http://127.0.0.1:{self.port}"

    def just(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run `./just` and wait for it."""
        return subprocess.run(
            ["./just", *arguments],
            cwd=self.directory,
            env={**self.environment, **environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            # Of a machine that does much else too.
            timeout=300,
            check=False,
        )

    def processes(self) -> list[str]:
        """Return the processes whose command line or environment names this copy."""
        found = []
        for process in psutil.process_iter(["cmdline", "environ"]):
            # Another person's process shows neither.
            texts = [
                *(process.info["cmdline"] or []),
                (process.info["environ"] or {}).get("STATE_DIR", ""),
            ]
            if any(str(self.directory) in text for text in texts):
                found.append(" ".join(texts))
        return found


def copy_project(directory: Path) -> Project:
    """Copy what the commands need; the tools and the environment are shared."""
    directory.mkdir(parents=True)
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            # Including compiled files, whose times match those of their sources.
            shutil.copytree(source, directory / name)
        else:
            shutil.copy(source, directory / name)
    return project_in(directory)


def copy_repository(directory: Path) -> None:
    """Make a repository of the working tree's files, with what `just check` has made here."""
    directory.mkdir()
    copy_sources(directory)
    if (ROOT / TYPES).exists():
        shutil.copytree(ROOT / TYPES, directory / TYPES)
    (directory / ".local").mkdir(mode=0o700)
    for name in NODE:
        if (ROOT / name).exists():
            (directory / name).symlink_to(ROOT / name)


# A migration that creates the table of the blueprint `item`.
MIGRATION = """\
\"\"\"Create the table `item`.\"\"\"

from alembic import op

from tests.blueprints.item.models import Item

revision = "item"
down_revision = "{head}"


def upgrade() -> None:
    op.execute("CREATE EXTENSION IF NOT EXISTS pg_trgm")
    Item.metadata.create_all(op.get_bind())


def downgrade() -> None:
    Item.metadata.drop_all(op.get_bind())
"""


def serve_items(project: Project) -> None:
    """Have a copy serve the blueprint `item` of the tests in place of the service's own."""
    [head] = ScriptDirectory(str(project.directory / "migrations")).get_heads()
    (project.directory / "migrations/versions/item.py").write_text(MIGRATION.format(head=head))
    for name in ("app.py", "served.py", "blueprints/aside.py"):
        target = project.directory / "tests" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / "tests" / name, target)
    for name in ("item", "schemas/item"):
        shutil.copytree(
            ROOT / "tests/blueprints" / name, project.directory / "tests/blueprints" / name
        )
    main = project.directory / "service/__main__.py"
    main.write_text(
        main.read_text()
        .replace("main()", "main(create_app)")
        .replace(
            "from service.server import main",
            "from service.server import main\nfrom tests.app import create_app",
        )
    )


def project_in(directory: Path) -> Project:
    """Return the project whose files are in a directory; it shares the tools and packages."""
    (directory / ".tools").symlink_to(ROOT / ".tools")
    (directory / ".venv").symlink_to(ROOT / ".venv")
    environment = {name: value for name, value in os.environ.items() if name not in FOREIGN}
    # When its pytest starts, it closes the folder above its temporary ones to other users.
    environment["PYTEST_DEBUG_TEMPROOT"] = str(directory.parent)
    return Project(directory, {**environment, "HTTP_PORT": str(free_port()), "DRAIN_SECONDS": "0"})


def hide_nginx(directory: Path, path: str) -> str:
    """Return a PATH on which an nginx comes first that is too old: it is found anywhere else."""
    fake_program(directory / "old", "nginx", "echo 'nginx version: nginx/1.16.1' >&2")
    return f"{directory / 'old'}{os.pathsep}{path}"


def fake_program(directory: Path, name: str, script: str) -> None:
    """Write a program that does what the script of `sh` says."""
    directory.mkdir(exist_ok=True)
    (directory / name).write_text(f"#!/bin/sh\n{script}\n")
    (directory / name).chmod(0o755)
