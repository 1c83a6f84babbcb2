"""The lock files in requirements/: `python -m ops.checks.locks` recompiles them.

It needs only Python and uv, so that it can fix locks which can't be installed.
"""

import filecmp
import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from ops.console import CommandError, just
from ops.environment import for_uv
from service.failures import complain

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "requirements"
# Unless TRACES_URL is set, OpenTelemetry is only files on the disk.
SERVICE = ["--extra", "traces", "pyproject.toml"]
LOCKS = {
    "production.txt": [*SERVICE],
    "development.txt": ["--extra", "development", *SERVICE],
    "benchmarks.txt": ["--extra", "development", "--extra", "benchmarks", *SERVICE],
    "tools.txt": ["requirements/tools.in"],
    "node.txt": ["requirements/node.in"],
}
# The locks name no index, so that each machine uses the one that is configured on it.
COMPILE = [
    *("pip", "compile", "--quiet", "--universal", "--generate-hashes", "--no-header"),
    *("--no-emit-index-url", "--no-emit-find-links", "--python-version", "3.11"),
    # One version of each package for every Python: the tests and the image run the same.
    *("--fork-strategy", "fewest"),
]


def compile_into(folder: Path, arguments: list[str]) -> None:
    """Compile all locks in the folder, starting from their current versions."""
    for name, sources in LOCKS.items():
        command = [_uv(), *COMPILE, *arguments, *sources, "--output-file", str(folder / name)]
        if subprocess.run(
            command, cwd=ROOT, env=for_uv(), stdout=subprocess.DEVNULL, check=False
        ).returncode:
            raise CommandError(f"uv could not compile {name}, for the reason above.")


def _uv() -> str:
    found = shutil.which("uv")
    if found is None:
        raise CommandError(f"uv is not on the PATH. Run `{just('lock')}`, or install uv.")
    return found


def check(_settings: object, _arguments: list[str]) -> int:
    """Report the locks that are stale against pyproject.toml, tools.in and node.in."""
    with TemporaryDirectory() as directory:
        folder = Path(directory)
        for name in LOCKS:
            shutil.copy(FOLDER / name, folder)
        compile_into(folder, [])
        stale = [
            name for name in LOCKS if not filecmp.cmp(FOLDER / name, folder / name, shallow=False)
        ]
    if stale:
        raise CommandError(f"Stale in requirements/: {', '.join(stale)}. Run `{just('lock')}`.")
    print("The lock files are up to date.")
    return 0


if __name__ == "__main__":
    try:
        compile_into(FOLDER, sys.argv[1:])
    except CommandError as failure:
        sys.exit(complain(failure))
