"""What git says of the project: a person reviews and reverts by it what a command has written."""

import shutil
import subprocess
from collections.abc import Sequence

from ops.console import CommandError
from service.settings import ROOT


def git(*arguments: str) -> str:
    """Return what git prints. Raises CommandError."""
    program = shutil.which("git")
    if program is None:
        raise CommandError(
            "git is not on the PATH: install it, so that you can review and revert what this "
            "command writes."
        )
    done = subprocess.run(
        [program, *arguments], cwd=ROOT, capture_output=True, encoding="utf-8", check=False
    )
    if done.returncode:
        raise CommandError(
            "This command needs a git checkout, so that you can review and revert what it writes: "
            f"{done.stderr.strip() or 'git found nothing'}"
        )
    return done.stdout


def require_clean(*paths: str, options: Sequence[str] = ()) -> None:
    """Raise CommandError if files have changes that are not committed."""
    if changed := git("status", "--porcelain", *options, "--", *paths):
        raise CommandError(
            f"{changed.splitlines()[0][3:]} has changes that are not committed: commit them first, "
            "so that `git diff` shows what this command does; or add `--force`."
        )
