"""Folders with any name: the stack in containers starts, and is separate from others."""

from pathlib import Path

import httpx
import pytest

from tests.stack.project import new_stack

pytestmark = [pytest.mark.stack, pytest.mark.long]


@pytest.mark.parametrize(
    "folder",
    [
        'C# R&D, it\'s (1)%2Fx+y $HOME "q" ${PATH}',
        # Nothing of it can be in the name of a project of compose.
        "@#$",
    ],
)
def test_the_stack_runs_in_a_folder_of_any_name(tmp_path: Path, folder: str) -> None:
    with new_stack(tmp_path, folder) as stack:
        started = stack.just("up", "docker")
        assert started.returncode == 0, started.stdout + started.stderr
        ready = httpx.get(f"{stack.url}/readyz").status_code
        listed = stack.just("ps")
        # As a user calls compose, without `just`.
        asked = stack.compose("ps", "--quiet", "api").stdout.split()
        (stack.directory / ".env").rename(stack.directory / "lost")
        again = stack.just("up")
        names = stack.docker("ps", "--format", '{{.Label "com.docker.compose.project"}}').stdout
        down = stack.just("down")

    assert ready == 200
    assert listed.returncode == 0, listed.stdout
    assert len(asked) == 2, "compose by itself does not find the project"
    # The name follows from the folder, so the data are found without `.env` too.
    assert again.returncode == 0, again.stdout + again.stderr
    assert names.split().count(stack.name) >= 5
    assert (down.returncode, down.stdout) == (0, "Stopped. The data are kept.\n")
