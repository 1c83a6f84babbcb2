"""Schemathesis against a running service: what it found, and how much it asked."""

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from service.settings import ROOT
from tests.socket.conftest import KEY, Service

CONFIGURATION = Path(__file__).with_name("schemathesis.toml")
KEYS = {"right": KEY, "wrong": "x" * 16, "missing": None}
SECONDS = 1500
HOOKS = {"SCHEMATHESIS_HOOKS": "tests.fuzz.hooks", "PYTHONPATH": str(ROOT)}


@dataclass(frozen=True, slots=True)
class Run:
    """What one run of Schemathesis printed, and whether it found nothing."""

    output: str
    passed: bool

    @property
    def cases(self) -> int:
        """How many requests it made up."""
        return self._count(r"(\d+) generated")

    @property
    def operations(self) -> int:
        """How many operations it has tested."""
        return self._count(r"Tested: (\d+)$")

    def _count(self, pattern: str) -> int:
        [count] = re.findall(rf"^\s+{pattern}", self.output, re.MULTILINE)
        return int(count)


def fuzz(service: Service, directory: Path, key: str | None, *options: str) -> Run:
    """Send made-up requests, valid and not, and hold every answer against the contract."""
    text = CONFIGURATION.read_text()
    configuration = directory / "schemathesis.toml"
    configuration.write_text(text if key is not None else text.partition("[auth")[0])
    program = [str(Path(sys.executable).with_name("st")), "--config-file", str(configuration)]
    # The coverage of Schemathesis is of no interest, and takes time.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COV")}
    done = subprocess.run(
        [*program, "run", f"{service.url}/openapi.json", "--checks", "all", "--no-color", *options],
        cwd=directory,
        env=environment | HOOKS | {"FUZZ_KEY": key or ""},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    return Run(done.stdout + done.stderr, done.returncode == 0)
