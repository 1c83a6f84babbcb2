"""`just rename NAME`: turns a clone of the starter into a project of one's own.

It works once: in a project that has grown, its name may be a word of the code.
"""

import re
import subprocess
import sys
from importlib.util import find_spec

from ops.checks.contract import CHANGELOG, DOCUMENT, RELEASED
from ops.console import CommandError, just
from ops.containers import passwords
from ops.generate.git import git
from ops.local import stack
from service.name import DATABASE, NAME
from service.settings import ROOT, Settings

ORIGIN = "flusk"
PATTERN = re.compile("(?=.{2,40}$)[a-z](-?[a-z0-9])*")
RULE = (
    "A name has 2 to 40 characters: lower-case letters, digits and `-`. It begins with a letter, "
    "does not end with `-` and has no two in a row. The database of the containers, and names in "
    "code, have `_` instead of `-`."
)
DATABASES = {"postgres", "template0", "template1"}
# In YAML, no texts.
YAML_WORDS = {"true", "false", "null", "yes", "no", "on", "off"}
# What is about the starter, in README.md one line, and this command.
KEPT = (
    *("LICENSE", "README.md", "benchmarks/results", "docs/decisions"),
    *("ops/generate/rename.py", "tests/ops/test_rename.py"),
)
# The containers' database; part of an identifier; the title; the name.
PLACES = re.compile(
    r"(?P<database>&database |--dbname=|@postgres/|\\l )flusk|(?P<word>flusk(?=_))"
    r"|(?P<title>Flusk)|flusk"
)
README = ROOT / "README.md"
# The sections of README.md about the starter.
SECTIONS = re.compile(
    r"^## (Speed|What changed from Flusk)\n.*?(?=^## |\Z)", re.MULTILINE | re.DOTALL
)
LINKS = re.compile(r"^.*\(#speed\).*\n", re.MULTILINE)
CREDIT = (
    "This project began as a copy of Flusk for asyncio, whose license is in [LICENSE](LICENSE)."
)
FILES = ("grep", "-I", "--files-with-matches", "--null", "--ignore-case", ORIGIN, "--", ".")
NEW_CHANGELOG = """\
# Changelog

The format is that of [Keep a Changelog](https://keepachangelog.com/en/1.1.0/); versions follow
[Semantic Versioning](https://semver.org/).

## [Unreleased]
"""
SUMMARY = """\
The project is called {title} now. Changed:
  the name {name}: service/name.py, pyproject.toml, requirements/, docs/
  the title {title}: docs/openapi.json, the pages of /docs, README.md
  the database {database} of the containers: compose.yaml
  the base https://{name}.example/schemas/ of the schema files
  README.md, without the sections about the starter
  CHANGELOG.md and docs/openapi-released.json, the contract of the last release: they begin anew
Not changed, because it is about the starter: LICENSE, docs/decisions/, benchmarks/results/
"""
NEXT = """\
Next:
  1. `git diff`, `{check}`, `{test}`, then commit.
  2. Say what the project is: README.md, `description` in pyproject.toml and in
     service/common/middleware/openapi.py. Keep the notice in LICENSE; add your own.
  3. Containers and images are named after the folder, now {folder}: rename it too.
  4. `{up}`. docs/own.md says how to go on.\
"""


def run(settings: Settings, arguments: list[str]) -> int:
    """Rename the project, and print what has changed and what to do next."""
    if len(arguments) != 1:
        raise CommandError(f"Give one name, as in `{just('rename my-shop')}`.")
    [name] = arguments
    require_renamable(name)
    if find_spec("ruff") is None:
        raise CommandError(
            "ruff, which formats the renamed files, is not installed: "
            f"run `{just('setup')}`, then this again."
        )
    _require_clean()
    _require_unused(settings)
    RELEASED.write_bytes(DOCUMENT.read_bytes())
    CHANGELOG.write_text(NEW_CHANGELOG, encoding="utf-8")
    README.write_text(own_readme(README.read_text("utf-8"), title_of(name)), encoding="utf-8")
    found = [ROOT / path for path in git(*FILES, *(f":!{path}" for path in KEPT)).split("\0")[:-1]]
    for path in found:
        path.write_bytes(replaced(path.read_bytes().decode(), name).encode())
    # A longer name may change the line breaks.
    python = [path for path in found if path.suffix == ".py"]
    formatted = subprocess.run(
        [sys.executable, "-m", "ruff", "format", "--quiet", *python], check=False
    )
    if formatted.returncode:
        raise CommandError(
            "ruff could not format the renamed files, for the reason above. "
            "`git checkout .` reverts what was renamed."
        )
    print(SUMMARY.format(title=title_of(name), name=name, database=word_of(name)))
    print(NEXT.format(check=just("check"), test=just("test"), up=just("up"), folder=ROOT.name))
    return 0


def title_of(name: str) -> str:
    """Return the title of a project of this name, as service/name.py does."""
    return " ".join(part.capitalize() for part in name.split("-"))


def word_of(name: str) -> str:
    """Return the name as an identifier: that of the database, as service/name.py does."""
    return name.replace("-", "_")


def replaced(text: str, name: str) -> str:
    """Return the text of a file with the new name, in the form of each place."""

    def own(place: re.Match[str]) -> str:
        if place["database"]:
            return place["database"] + word_of(name)
        if place["word"]:
            return word_of(name)
        return title_of(name) if place["title"] else name

    return PLACES.sub(own, text)


def own_readme(text: str, title: str) -> str:
    """Return README.md with the title, without what is about the starter."""
    text = LINKS.sub("", SECTIONS.sub("", text))
    rest = text.partition("\n")[2].strip()
    return f"# {title}\n\n{rest}\n\n{CREDIT}\n"


def require_renamable(name: str) -> None:
    """Raise CommandError if the project can't be called so, or has a name of its own already."""
    if not PATTERN.fullmatch(name):
        raise CommandError(f"{name!r} can't be the name. {RULE}")
    packages = (ROOT / "requirements" / "benchmarks.txt").read_text("utf-8")
    if name in {ORIGIN, *DATABASES, *YAML_WORDS} or f"\n{name}==" in f"\n{packages}":
        raise CommandError(
            f"{name} can't be the name: it is that of the starter, a package or a "
            "database that the project uses, or a word of YAML. Choose another name."
        )
    if NAME != ORIGIN:
        raise CommandError(
            f"This project is already called {NAME}. `rename` works once, because a name may be a "
            f"word of the code: change service/name.py, and what `git grep -i {NAME}` finds."
        )


def _require_clean() -> None:
    if changed := git("status", "--porcelain", ".").splitlines():
        raise CommandError(
            f"There are uncommitted changes: {changed[0][3:]}"
            f"{f' and {len(changed) - 1} more' if changed[1:] else ''}. Commit or remove them "
            "first, so that `git diff` shows what `rename` changes, and `git restore .` reverts it."
        )


def _require_unused(settings: Settings) -> None:
    """Raise CommandError if a stack runs, or its data exist, under the old name."""
    data = settings.state_dir / "postgres"
    if stack.runs(settings):
        raise CommandError(f"The stack runs: stop it with `{just('down')}`, then rename.")
    if data.exists():
        raise CommandError(
            f"{data} has the data of {NAME}. Remove it, or move it away, then rename; "
            f"`{just('backup FILE')}` before and `{just('restore FILE')}` after keep the data."
        )
    if "POSTGRES_PASSWORD" not in passwords.missing():
        raise CommandError(
            f".env has the passwords of containers whose database is called {DATABASE}. "
            f"Remove the containers and their data (`docker compose down --volumes`) and the "
            f"passwords, then rename; `{just('backup FILE')}` before and "
            f"`{just('restore FILE')}` after keep the data."
        )
