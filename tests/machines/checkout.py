"""A clone of the project that belongs to an ordinary user, and the commands that the user runs."""

import json
import os
import re
import shutil
import subprocess
import urllib.request
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self
from urllib.parse import quote

import psutil

from service.settings import ROOT

SECONDS = 300
# The end of a command's output that is shown.
LONGEST = 3000
# Of a refusal, with what a command says before it.
MOST_LINES = 6


@dataclass(frozen=True)
class Result:
    """The exit code and the output of a command."""

    code: int
    stdout: str
    output: str


@dataclass(frozen=True)
class Checkout:
    """A clone, its owner, and the environment of the owner's shell."""

    directory: Path
    uid: int
    gid: int
    umask: int
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def state(self) -> Path:
        """The state folder of the stack."""
        return self.directory / ".local"

    @property
    def url(self) -> str:
        """The URL of the stack."""
        return f"http://127.0.0.1:{self.environment['HTTP_PORT']}"

    def as_root(self) -> Self:
        """Return the checkout for commands that root runs in it."""
        return replace(self, uid=0, gid=0)

    def begin(self, *command: str, **environment: str) -> subprocess.Popen[str]:
        """Begin a command in the checkout."""
        is_root = os.getuid() == 0
        return subprocess.Popen(
            command,
            cwd=self.directory,
            env=self.environment | environment,
            user=self.uid if is_root else None,
            group=self.gid if is_root else None,
            extra_groups=[] if is_root else None,
            umask=self.umask,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )

    def run(self, *command: str, **environment: str) -> Result:
        """Run a command in the checkout to its end."""
        return finish(self.begin(*command, **environment))

    def just(self, *arguments: str, **environment: str) -> Result:
        """Run `./just` to its end."""
        return self.run("./just", *arguments, **environment)

    def up(self, **environment: str) -> None:
        """Start the stack as local processes."""
        succeeded(self.just("up", "local", **environment))

    def outdate(self, lock: str) -> None:
        """Change a lock file, as a newer commit does, so that the next command installs anew."""
        with (self.directory / "requirements" / lock).open("a") as file:
            file.write("\n")

    def create(self, name: str, email: str) -> None:
        """Store a record."""
        body = json.dumps({"name": name, "email": email}).encode()
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(f"{self.url}/foss", body, headers)  # noqa: S310
        urllib.request.urlopen(request, timeout=20).close()  # noqa: S310

    def find(self, text: str) -> list[str]:
        """Return the names of the records that have the text in them."""
        url = f"{self.url}/foss?q={quote(text)}"
        with urllib.request.urlopen(url, timeout=20) as answer:  # noqa: S310
            return [record["name"] for record in json.load(answer)]

    def processes(self) -> list[psutil.Process]:
        """Return the processes that run in the checkout or have its name in their arguments."""
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                texts = [process.cwd(), *process.cmdline(), process.environ().get("STATE_DIR", "")]
                if any(str(self.directory) in text for text in texts):
                    found.append(process)
        return found

    def kill(self) -> None:
        """End every process of the checkout as a power cut does."""
        while processes := self.processes():
            for process in processes:
                with suppress(psutil.NoSuchProcess):
                    process.kill()
            psutil.wait_procs(processes, timeout=10)


def finish(process: subprocess.Popen[str]) -> Result:
    """Wait for a command. None may ever show a traceback."""
    try:
        stdout, stderr = process.communicate(timeout=SECONDS)
    finally:
        process.kill()

    output = stdout + stderr

    assert "Traceback" not in output, output[-LONGEST:]
    return Result(process.returncode, stdout, output)


def succeeded(result: Result) -> str:
    """Return what a command printed that ended well."""
    assert result.code == 0, result.output[-LONGEST:]
    return result.stdout


def refused(result: Result, *patterns: str) -> None:
    """Check that a command refused in a few lines, with these patterns in them."""
    lines = [line for line in result.output.splitlines() if line.strip()]

    assert result.code == 1, result.output[-LONGEST:]
    for pattern in patterns:
        assert re.search(pattern, result.output, re.IGNORECASE), (pattern, result.output)
    assert len(lines) <= MOST_LINES, result.output[-LONGEST:]


def copy_sources(target: Path) -> None:
    """Make a repository of the working tree's files, with the changes that are not committed."""
    names = git("ls-files", "-z", "--cached", "--others", "--exclude-standard", cwd=ROOT)
    for name in names.split("\0"):
        if (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, target / name)
    author = ["-c", "user.name=Tests", "-c", "user.email=tests@example.org"]
    git("init", "--quiet", cwd=target)
    git("add", "--all", cwd=target)
    git(*author, "commit", "--quiet", "--message=The working tree", cwd=target)


def git(*arguments: str, cwd: Path) -> str:
    """Run git without the configuration of the person who runs the tests."""
    environment = {
        "PATH": os.environ["PATH"],
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
    }
    command = ["git", "-c", "safe.directory=*", *arguments]
    done = subprocess.run(
        command, cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stderr
    return done.stdout
