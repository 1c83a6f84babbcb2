"""Failures of the system, as a person reads them."""

import errno
import os
import pwd
import re
from pathlib import Path

import pytest

from local.failures import explain, report

ME = pwd.getpwuid(os.geteuid()).pw_name


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (
            OSError(errno.ENOSPC, "no space", "/x/y"),
            "The disk is full: can't write /x/y. Make room",
        ),
        (OSError(errno.ENOSPC, "no space"), "The disk is full. Make room"),
        (OSError(errno.EROFS, "read-only", "/x/y"), "The file system is read-only: can't write"),
        (OSError(errno.EMFILE, "too many"), "Too many files are open"),
        (OSError(errno.EAGAIN, "again"), "The machine has no memory or processes left"),
    ],
)
def test_a_foreseeable_failure_is_a_sentence(error: OSError, sentence: str) -> None:
    assert str(explain(error)).startswith(sentence)


def test_a_file_of_another_user_is_told_with_its_owner_and_what_to_do(tmp_path: Path) -> None:
    root = Path("/etc/passwd") if os.geteuid() else tmp_path / "it's"
    if not os.geteuid():
        root.touch()
        os.chown(root, 1, -1)
    owner = pwd.getpwuid(root.stat().st_uid).pw_name
    told = str(explain(PermissionError(errno.EACCES, "denied", str(root))))

    assert told.startswith(f"You are {ME}, and may not use {root}, which belongs to {owner}.")
    assert re.search(rf"`sudo chown -R {ME} .+`", told)


def test_a_file_that_is_not_there_is_told_by_the_folder_that_is(tmp_path: Path) -> None:
    told = str(explain(PermissionError(errno.EACCES, "denied", str(tmp_path / "a" / "b"))))

    assert told == f"You may not use {tmp_path}, which is yours. Check its permissions: `ls -ld`."


def test_what_nobody_foresaw_goes_to_a_file() -> None:
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
