"""Line ends: a clone is the same on every machine, whatever git's configuration."""

import hashlib
import subprocess
from pathlib import Path

import pytest

from service.settings import ROOT

pytestmark = pytest.mark.skipif(
    not (ROOT / ".git").exists(), reason="this is no clone, so git has nothing to say"
)


def git(directory: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", "-c", "safe.directory=*", *arguments],
        cwd=directory,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def line_ends(directory: Path) -> dict[str, tuple[str, str, str]]:
    """Return what is in the index, in the folder, and decided by `.gitattributes`, by path."""
    found = {}
    for line in git(directory, "ls-files", "--eol", "-z").split("\0"):
        if line:
            facts, _, path = line.partition("\t")
            index, work, attributes = facts.split(maxsplit=2)
            found[path] = (index, work, attributes.strip())
    return found


def test_every_file_has_its_line_ends_decided() -> None:
    found = line_ends(ROOT)
    decided = {"attr/text=auto eol=lf", "attr/-text"}

    assert {path for path, (index, _, _) in found.items() if "crlf" in index} == set()
    assert {path for path, (_, _, attribute) in found.items() if attribute not in decided} == set()
    # Binary files are named as such, and not left to git's guess.
    guessed = {path for path, (i, _, a) in found.items() if i == "i/-text" and a != "attr/-text"}
    assert guessed == set()


def test_a_clone_of_windows_has_the_same_bytes(tmp_path: Path) -> None:
    clone = tmp_path / "clone"
    options = ["-c", "core.autocrlf=true", "-c", "core.eol=crlf", "-c", "core.safecrlf=false"]
    git(tmp_path, "clone", "--quiet", "--no-local", *options, str(ROOT), str(clone))
    found = line_ends(clone)

    assert len(found) > 100
    assert {path for path, (_, work, _) in found.items() if "crlf" in work} == set()
    for line in git(clone, "ls-tree", "-r", "-z", "HEAD").split("\0")[:-1]:
        facts, _, path = line.partition("\t")
        content = (clone / path).read_bytes()
        stored = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()  # noqa: S324
        assert stored == facts.split()[2], path
    assert git(clone, "status", "--porcelain") == ""
