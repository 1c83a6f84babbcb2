"""The examples of the documents, which use `/foss`, run as a person would."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from service.common.resource.versions import fingerprint
from service.foss.models import Foss
from service.settings import ROOT
from tests.socket.conftest import KEY, Service, running

TEXT = (ROOT / "docs" / "collection.md").read_text()
EXAMPLES = re.findall(r"^(curl .+?)  # (\d{3})$", TEXT, re.MULTILINE)
# The commands that create the files of the examples.
PREPARATIONS = re.findall(r"^printf .+$", TEXT, re.MULTILINE)


@pytest.mark.skipif(fingerprint(Foss) > 0, reason="this project's foss has other entity tags")
@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_each_example_of_the_collection_works_as_printed(
    database_url: str, empty_database: None, tmp_path: Path
) -> None:
    with running(tmp_path, database_url, ("-m", "service")) as service:
        statuses = answered(service, tmp_path)

    assert len(EXAMPLES) >= 18
    assert statuses == EXAMPLES


def answered(service: Service, tmp_path: Path) -> list[tuple[str, str]]:
    """Run each example and return it with the status of its response."""
    for command in PREPARATIONS:
        subprocess.run(["sh", "-c", command], cwd=tmp_path, check=True)
    statuses = []
    for command, _ in EXAMPLES:
        done = subprocess.run(
            ["sh", "-c", f"{command} --silent --noproxy '*'"],
            cwd=tmp_path,
            env={"URL": service.url, "KEY": KEY, "PATH": "/usr/bin:/bin"},
            capture_output=True,
            text=True,
            check=True,
        )
        statuses.append((command, done.stdout.split(" ", 2)[1]))
    return statuses
