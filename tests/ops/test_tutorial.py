"""docs/tutorial.md, as a reader follows it: every command and every snippet, in their order."""

import ast
import os
import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import psutil
import pytest

from service.settings import ROOT
from tests.ops.project import Project, copy_repository
from tests.ports import free_port
from tests.waiting import wait_until

DOCUMENT = ROOT / "docs" / "tutorial.md"
# A paragraph, or a block of code with its language.
PART = re.compile(
    r"```(?P<language>\w+)\n(?P<code>(?s:.*?))```|(?P<text>(?:(?!```).+\n)+)", re.MULTILINE
)
PLACE = re.compile(
    r"(?:[Ii]n `(?P<path>[^`]+)`, (?P<how>at the end|among the imports|in place of|among|after)"
    r"(?: `(?P<name>[^`]+)`)?|`(?P<new>[^`]+)`):$"
)
DELETED = re.compile(r"[Ii]n `(?P<path>[^`]+)`, delete `(?P<name>\w+)`\.")
# The commands that run until the reader stops them.
SERVERS = ("./just serve", "python3 -m http.server")
# What the test leaves to tests/stack: it needs a Docker engine.
LAST = "## 6. Deploy"
ANY = "…"


@dataclass
class Reader:
    """What follows the page in a copy of the project."""

    project: Project
    stack: ExitStack
    server: psutil.Process | None = None

    def follow(self, document: str) -> None:
        """Do everything that the document says."""
        place, printed = None, ""
        for part in PART.finditer(document):
            if part["text"]:
                text = " ".join(part["text"].split())
                for found in DELETED.finditer(text):
                    self._replace(found["path"], found["name"], "")
                place = PLACE.search(text)
            elif part["language"] == "sh":
                printed = "".join(self._run(line) for line in part["code"].splitlines())
            elif part["language"] == "json":
                check(printed, part["code"])
            else:
                assert place, f"no place is given for:\n{part['code']}"
                self._write(place, part["code"])

    def _run(self, command: str) -> str:
        """Run a command of the page, and return what `curl` prints."""
        directory, environment = self.project.directory, self.project.environment
        if command.startswith(SERVERS):
            process = subprocess.Popen(
                ["sh", "-c", f"exec {command}"],
                cwd=directory,
                env=environment,
                stdout=subprocess.DEVNULL,
            )
            self.stack.callback(end, process)
            if command == SERVERS[0]:
                self.server = psutil.Process(process.pid)
            return ""
        if command.startswith("curl"):
            self._wait_for_restart()
            command = f"{command} --silent --show-error --write-out '\\n'"
        done = subprocess.run(
            ["sh", "-c", command],
            cwd=directory,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        return done.stdout if command.startswith("curl") else ""

    def _wait_for_restart(self) -> None:
        """Wait until a process listens that has started after the last change of a file."""

        def is_up_to_date() -> bool:
            files = [
                path
                for folder in ("service", "schemas")
                for path in (self.project.directory / folder).rglob("*.*")
                if path.suffix in {".py", ".json"}
            ]
            changed = max(path.stat().st_mtime for path in files)
            assert self.server is not None
            return any(
                listens(process) and started(process) > changed
                for process in self.server.children(recursive=True)
            )

        wait_until(is_up_to_date)

    def _write(self, place: re.Match[str], code: str) -> None:
        """Put a snippet in its place."""
        path = place["path"]
        if place["new"]:
            (self.project.directory / place["new"]).write_text(code)
        elif place["how"] == "at the end":
            gap = "\n\n" if path.endswith(".py") else ""
            self._edit(path, len(self._lines(path)), 0, gap + code)
        elif place["how"] == "among the imports":
            tree = ast.parse("".join(self._lines(path)))
            imports = [one for one in tree.body if isinstance(one, ast.Import | ast.ImportFrom)]
            self._edit(path, imports[-1].end_lineno or 0, 0, code)
        elif place["how"] == "in place of":
            self._replace(path, place["name"], code)
        else:
            found = rf"\s*{place['name']}\b.*"
            [at] = [
                n
                for n, line in enumerate(self._lines(path), 1)
                if re.fullmatch(found, line.rstrip())
            ]
            self._edit(path, at, 0, code)

    def _replace(self, path: str, name: str, code: str) -> None:
        """Replace what a module defines by that name."""
        tree = ast.parse("".join(self._lines(path)))
        [found] = [one for one in tree.body if name in names_of(one)]
        first = min([found.lineno, *(one.lineno for one in getattr(found, "decorator_list", ()))])
        self._edit(path, first - 1, (found.end_lineno or 0) - first + 1, code)

    def _lines(self, path: str) -> list[str]:
        return (self.project.directory / path).read_text().splitlines(keepends=True)

    def _edit(self, path: str, at: int, count: int, code: str) -> None:
        lines = self._lines(path)
        lines[at : at + count] = [code]
        (self.project.directory / path).write_text("".join(lines))


def names_of(statement: ast.stmt) -> list[str]:
    """Return the names that a statement defines."""
    if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
        return [statement.target.id]
    return [getattr(statement, "name", "")]


def started(process: psutil.Process) -> float:
    """Return when a process started, to 10 ms: psutil adds it to a boot time in whole seconds."""
    after_boot = process.create_time() - psutil.boot_time()
    booted = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
    return booted + float(after_boot)


def listens(process: psutil.Process) -> bool:
    """Return whether a process accepts connections."""
    try:
        connections = process.net_connections("inet")
    except psutil.NoSuchProcess:
        return False
    return any(one.status == psutil.CONN_LISTEN for one in connections)


def check(printed: str, said: str) -> None:
    """Compare what was printed with what the page says, which leaves some out."""
    lines, expected = printed.splitlines(), said.splitlines()

    assert len(lines) == len(expected), printed
    for line, pattern in zip(lines, expected, strict=True):
        assert re.fullmatch(".*".join(map(re.escape, pattern.split(ANY))), line), (
            f"{line}\n{pattern}"
        )


def end(process: subprocess.Popen[bytes]) -> None:
    """End a server and what it has started."""
    started = psutil.Process(process.pid).children(recursive=True)
    process.terminate()
    process.wait(timeout=30)
    psutil.wait_procs(started, timeout=30)


@contextmanager
def reader_in(directory: Path) -> Iterator[Reader]:
    """Return a reader with a clone of the working tree."""
    copy_repository(directory)
    (directory / ".tools").symlink_to(ROOT / ".tools")
    author = {"GIT_AUTHOR_NAME": "Ada", "GIT_AUTHOR_EMAIL": "ada@example.org"}
    committer = {name.replace("AUTHOR", "COMMITTER"): value for name, value in author.items()}
    environment = {
        name: value
        for name, value in os.environ.items()
        if name in {"PATH", "HOME"} or name.startswith(("PIP_", "UV_", "SSL_"))
    }
    environment |= author | committer | {"PYTEST_DEBUG_TEMPROOT": str(directory.parent)}
    project = Project(directory, environment)
    with ExitStack() as stack:
        yield Reader(project, stack)


@pytest.mark.copies
@pytest.mark.parametrize(
    "left_out",
    # Of generated blueprints, test_blueprint.py runs it too.
    ["./just check\n", pytest.param("", marks=pytest.mark.long, id="nothing")],
)
def test_the_tutorial_can_be_followed(tmp_path: Path, left_out: str) -> None:
    service, builds = free_port(), free_port()
    document = DOCUMENT.read_text(encoding="utf-8").partition(LAST)[0]
    assert left_out in document
    document = document.replace(left_out, "").replace("9000", str(builds))
    document = document.replace("/tmp", str(tmp_path))  # noqa: S108
    with reader_in(tmp_path / "clone") as reader:
        reader.project.environment["BIND"] = f"127.0.0.1:{service}"
        reader.follow(document.replace("localhost:5000", f"localhost:{service}"))


def test_every_snippet_has_a_place_and_every_output_a_command() -> None:
    parts = [*PART.finditer(DOCUMENT.read_text(encoding="utf-8"))]
    languages = {part["language"] for part in parts if part["language"]}

    assert languages == {"sh", "json", "python", "toml", "text"}
    for before, part in pairwise(parts):
        if part["language"] in {"python", "toml", "text"}:
            assert PLACE.search(" ".join(before["text"].split()))
        if part["language"] == "json":
            assert "curl" in before["code"]
