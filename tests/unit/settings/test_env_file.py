"""`.env`: read in one way by all, and one sentence if it can't be read."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from service.settings import ROOT, Settings, load_settings
from service.settings.env_file import read_env_file
from service.settings.secret_files import SettingsError

LINES = {
    "HTTP_PORT=81": "81",
    "http_port=81": "81",
    "HTTP_PORT=81\r": "81",
    "\ufeffHTTP_PORT=81": "81",
    "export HTTP_PORT=81": "81",
    'HTTP_PORT="81"': "81",
    "HTTP_PORT='81'": "81",
    "HTTP_PORT = 81  # the port": "81",
    "HTTP_PORT=80\nHTTP_PORT=81": "81",
}


@pytest.mark.parametrize("text", LINES)
def test_the_settings_and_the_stack_read_the_same(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str
) -> None:
    path = tmp_path / ".env"
    path.write_bytes(f"{text}\n".encode())
    monkeypatch.setitem(Settings.model_config, "env_file", path)

    assert read_env_file(path) == {"HTTP_PORT": LINES[text]}
    assert load_settings().http_port == int(LINES[text])


def test_an_empty_value_is_none(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("HTTP_PORT=\nLOG_LEVEL\n# A remark\n\n")

    assert read_env_file(tmp_path / ".env") == {}
    assert read_env_file(tmp_path / "nowhere") == {}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"A=1\nB=caf\xe9\n", "line 2: not UTF-8"),
        ("A=1\n".encode("utf-16"), "line 1: not UTF-8"),
        (b'A=1\nthis is no line = "\n', "line 2: write NAME=value"),
        (b"A='no end\n", "line 1: write NAME=value"),
    ],
)
def test_a_file_that_says_nothing_clear_is_named_with_the_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: bytes, reason: str
) -> None:
    path = tmp_path / ".env"
    path.write_bytes(content)
    monkeypatch.setitem(Settings.model_config, "env_file", path)

    with pytest.raises(SettingsError, match=f"{path}, {reason}"):
        load_settings()


def test_each_line_that_says_nothing_clear_is_named(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    path.write_text("no value =\nA=1\n= no name\n")

    with pytest.raises(SettingsError) as caught:
        read_env_file(path)
    assert [line.partition(": ")[0] for line in str(caught.value).splitlines()] == [
        f"{path}, line 1",
        f"{path}, line 3",
    ]


def test_a_folder_in_its_place_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="is a folder"):
        read_env_file(tmp_path)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can take another user's part")
@pytest.mark.parametrize("command", [["-m", "service"], ["-m", "ops", "ps"]])
def test_a_file_of_another_user_is_one_sentence(tmp_path: Path, command: list[str]) -> None:
    path = tmp_path / ".env"
    path.write_text("HTTP_PORT=81\n")
    path.chmod(0o600)
    for folder in (tmp_path, *tmp_path.parents[:3]):
        folder.chmod(folder.stat().st_mode | 0o005)
    # This user can't read the project, so the import comes before the change of user.
    script = (
        "import os, runpy, sys, service.__main__, ops.__main__, ops.modes; "
        "os.setgroups([]); os.setgid(65534); os.setuid(65534); "
        f"sys.argv = {command[1:]!r}; "
        f"runpy.run_module({command[1]!r}, run_name='__main__', alter_sys=True)"
    )
    # Nor could it write what coverage measures.
    environment = {n: value for n, value in os.environ.items() if not n.startswith("COVERAGE")}
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        env={**environment, "ENV_FILE": str(path)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    assert f"{path} can't be read: it belongs to root, and you are nobody." in done.stderr
