"""Failures of the system, as a person reads them."""

import errno
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from shlex import quote

import pytest

from service import failures
from service.failures import OperatorError, explain, guarded, report


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (OSError(errno.ENOSPC, "no space", "/x/y"), "The disk is full. Make room"),
        (OSError(errno.EDQUOT, "quota"), "The disk is full. Make room"),
        (
            OSError(errno.EROFS, "read-only", "/x/y"),
            "/x/y can't be used: read-only. Choose another",
        ),
        (OSError(errno.ENOTDIR, "not a directory", "/x/y"), "/x/y can't be used: not a directory."),
        (OSError(errno.EMFILE, "too many"), "Too many files are open"),
        (OSError(errno.EAGAIN, "again"), "The machine has no memory or no process left"),
    ],
)
def test_a_foreseeable_failure_is_a_sentence(error: OSError, sentence: str) -> None:
    assert str(explain(error)).startswith(sentence)


def denied(path: Path) -> str:
    return str(explain(PermissionError(errno.EACCES, "denied", str(path))))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_the_message_for_another_users_file_in_the_project_has_a_remedy(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(failures, "ROOT", tmp_path)
    path = tmp_path / "it's"
    path.touch()
    os.chown(path, 1, -1)

    told = denied(path)

    assert told.startswith(f"{path} can't be used: it belongs to daemon, and you are root.")
    assert f"`sudo chown -R root {quote(str(path))}`" in told


def test_chown_is_suggested_only_for_files_of_the_project(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 65534)
    for path in (Path("/etc/passwd"), Path("/root/x/y"), Path("/usr"), Path("/nowhere")):
        told = denied(path)

        assert "belongs to root, and you are nobody. Choose another path" in told
        assert "chown" not in told
        assert "remove" not in told


def test_the_message_for_a_missing_file_names_the_nearest_folder(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b"

    assert denied(path) == (
        f"{path} can't be used: {tmp_path} is yours: check its permissions with `ls -ld`."
    )


@pytest.mark.parametrize(
    ("error", "code", "sentence"),
    [
        (OperatorError("Do this."), 1, "Do this."),
        (OSError(errno.ENOSPC, "no space"), 1, "The disk is full"),
        (KeyboardInterrupt(), 130, ""),
        (ZeroDivisionError(), 1, "Unexpected error: ZeroDivisionError"),
    ],
)
def test_a_command_ends_with_a_sentence(
    capsys: pytest.CaptureFixture[str], error: BaseException, code: int, sentence: str
) -> None:
    def main() -> int:
        raise error

    assert guarded(main) == code

    told = capsys.readouterr().err
    assert told.strip().startswith(sentence)
    assert "Traceback" not in told


def test_an_unexpected_error_is_written_to_a_file() -> None:
    with pytest.raises(ZeroDivisionError) as caught:
        _ = 1 // 0
    told = str(report(caught.value))
    file = Path(told.rsplit(maxsplit=1)[-1].rstrip("."))

    assert told.startswith(
        "Unexpected error: ZeroDivisionError: integer division or modulo by zero\n"
    )
    assert "Please report it" in told
    assert "Traceback" in file.read_text(encoding="utf-8")

    file.unlink()


@pytest.mark.parametrize("command", [["ops", "ps"], ["migrations", "pending"], ["service"]])
@pytest.mark.parametrize("seconds", [0.5, 1, 1.5])
def test_an_interrupt_at_any_time_is_no_traceback(
    tmp_path: Path, command: list[str], seconds: float
) -> None:
    url = "postgresql://nobody@127.0.0.1:1/nothing"
    # Without coverage, which writes its data after the program has ended.
    environment = {key: value for key, value in os.environ.items() if not key.startswith("COV")}
    added = {"DATABASE_URL": url, "STATE_DIR": str(tmp_path), "BIND": "127.0.0.1:0"}
    process = subprocess.Popen(
        [sys.executable, "-m", *command],
        cwd=failures.ROOT,
        env=environment | added,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    with suppress(subprocess.TimeoutExpired):
        process.wait(seconds)
    process.send_signal(signal.SIGINT)
    told, _ = process.communicate()

    assert "Traceback" not in told


@pytest.mark.parametrize("when", ["while it prints", "at its end"])
def test_a_command_whose_reader_has_enough_ends_without_a_message(when: str) -> None:
    flush = when == "while it prints"
    program = f"from service.failures import guarded; guarded(lambda: print('line', flush={flush}))"
    reading, writing = os.pipe()
    os.close(reading)

    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=failures.ROOT,
        stdout=writing,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )

    os.close(writing)
    assert done.stderr == ""


def test_a_broken_pipe_to_another_program_is_reported(capfd: pytest.CaptureFixture[str]) -> None:
    def main() -> int:
        raise BrokenPipeError(errno.EPIPE, "Broken pipe")

    assert guarded(main) == 1
    told = capfd.readouterr().err
    assert "Unexpected error: BrokenPipeError" in told
    Path(told.split()[-1].rstrip(".")).unlink()
