"""`just blueprint-remove NAME`: removes a blueprint that nothing refers to."""

import re
import shutil
from collections.abc import Iterator
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
        if not (ROOT / "service" / name / "models.py").exists():
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
        for path in created:
            journal.keep(path)
            path.unlink()
    else:
        write_migration(journal, f"Drop the table `{name}`", partial(_drop, name))
    write_documents(journal)


def _created(name: str) -> Iterator[Path]:
    """Yield the migrations that create the table and add columns to it."""
    pattern = re.compile(rf'op\.(?:create_table|add_column)\(\s*"{name}"')
    for path in VERSIONS.glob("*.py"):
        if pattern.search(path.read_text("utf-8")):
            yield path


def _drop(name: str, text: str) -> str:
    return UPGRADE.sub(lambda found: found[1] + DROP.format(name), text, count=1)
