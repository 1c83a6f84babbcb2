"""`just blueprint-remove NAME`: removes a blueprint that nothing refers to."""

import re
import shutil
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from ops.console import CommandError, just
from ops.generate.blueprint.command import (
    FOLDERS,
    REGISTRY,
    VERSIONS,
    write_documents,
    write_migration,
)
from ops.generate.git import git, require_clean
from ops.generate.journal import Journal
from service.settings import ROOT, Settings

# The body of `upgrade`: that the table goes is what was asked for.
UPGRADE = re.compile(r"(def upgrade\(\) -> None:\n).*?(?=\n\n\ndef )", re.DOTALL)
REVISION = re.compile(r"^(revision|down_revision)\b.*= [\"'](\w+)[\"']$", re.MULTILINE)
DROP = '    op.execute("-- squawk-ignore ban-drop-table\\nDROP TABLE {}")'


def remove(_settings: Settings, arguments: list[str]) -> int:
    """Remove a blueprint, or nothing at all."""
    options = {one for one in arguments if one.startswith("--")}
    names = [one for one in arguments if one not in options]
    if len(names) != 1 or options - {"--force"}:
        raise CommandError(
            f"Give one name: `{just('blueprint-remove NAME')}`; `--force` if needed."
        )
    [name] = names
    with Journal() as journal:
        if "/" in name or not (ROOT / "service" / name / "models.py").exists():
            raise CommandError(f"There is no blueprint `{name}` in service/.")
        if referring := sorted(_referring(name)):
            raise CommandError(
                f"`{referring[0]}` refers to `{name}`: remove `{referring[0]}` or its reference "
                "first."
            )
        if "--force" not in options:
            mine = [f"{folder}/{name}" for folder in FOLDERS]
            require_clean(*mine, options=["--untracked-files=no"])
        _remove(name, journal)
    print(f"Removed the blueprint `{name}`.")
    return 0


def _referring(name: str) -> Iterator[str]:
    for path in ROOT.glob("service/*/models.py"):
        if f'ForeignKey("{name}.' in path.read_text("utf-8") and path.parent.name != name:
            yield path.parent.name


def _remove(name: str, journal: Journal) -> None:
    for folder in FOLDERS:
        for path in sorted((ROOT / folder / name).rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                journal.keep(path)
        shutil.rmtree(ROOT / folder / name, ignore_errors=True)
    text = REGISTRY.read_text("utf-8")
    text = text.replace(f"        {name},\n", "", 1).replace(f"        {name}.blueprint,\n", "", 1)
    journal.write(REGISTRY, text)
    created = [*_created(name)]
    if created and not git("ls-files", "--", *map(str, created)):
        # No other clone knows them.
        delete_migrations(created, journal)
    else:
        write_migration(journal, f"Drop the table `{name}`", partial(_drop, name))
    write_documents(journal)


def delete_migrations(paths: Sequence[Path], journal: Journal) -> None:
    """Delete migrations; those that revise one of them revise what it revised instead."""
    revised = {}
    for path in paths:
        revision, parent = _revisions(path.read_text("utf-8"))
        revised[revision] = parent
        journal.keep(path)
        path.unlink()
    for path in sorted(VERSIONS.glob("*.py")):
        text = path.read_text("utf-8")
        _, old = _revisions(text)
        new = old
        while new in revised:
            new = revised[new]
        if old and not new:
            raise CommandError(
                f"migrations/versions/{path.name} revises a migration that would be deleted, and "
                "that one does not revise exactly one: change its `down_revision`, then run this "
                "again."
            )
        if new != old:
            # In the docstring too.
            places = re.compile(rf"^(down_revision\b.*= [\"']|Revises: ){old}\b", re.MULTILINE)
            journal.write(path, places.sub(rf"\g<1>{new}", text))


def _revisions(text: str) -> tuple[str, str]:
    """Return the revision of a migration and the one that it revises; empty if it is no text."""
    found = dict(REVISION.findall(text))
    return found.get("revision", ""), found.get("down_revision", "")


def _created(name: str) -> Iterator[Path]:
    """Yield the migrations that create the table and add columns to it."""
    pattern = re.compile(rf'op\.(?:create_table|add_column)\(\s*"{name}"')
    for path in VERSIONS.glob("*.py"):
        if pattern.search(path.read_text("utf-8")):
            yield path


def _drop(name: str, text: str) -> str:
    return UPGRADE.sub(lambda found: found[1] + DROP.format(name), text, count=1)
