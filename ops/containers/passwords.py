"""Random passwords of the containers and the clients' key, in `.env`."""

import os
import re
import secrets
from collections.abc import Mapping
from pathlib import Path

from ops.console import CommandError
from service.failures import whose
from service.settings import ENV_FILE, read_env_file, read_text

# A password for each role of the database, and the clients' key.
SERVICE = (
    "POSTGRES_PASSWORD",
    "MIGRATE_PASSWORD",
    "API_PASSWORD",
    "SECURE_API_KEY",
)
# That of Grafana's user `admin` too.
NAMES = (*SERVICE, "GRAFANA_PASSWORD")
RANDOM_BYTES = 24
PLAIN = re.compile("[A-Za-z0-9._~-]+")


def missing(path: Path | None = None) -> list[str]:
    """Return the names without a value in `.env`.

    Raises CommandError if a value has other characters than letters, digits and `._~-`.
    """
    path = path or ENV_FILE
    values = read_env_file(path)
    for name in NAMES:
        # They become part of URLs and of compose's syntax.
        if name in values and not PLAIN.fullmatch(values[name]):
            raise CommandError(f"{name} in {path}: use only letters, digits and `._~-`.")
    return [name for name in NAMES if name not in values]


def write(names: list[str], lines: Mapping[str, str], path: Path | None = None) -> None:
    """Add these values to `.env`, and a random one for each name: all of them or none.

    Only its owner can read the file afterwards, whatever the umask. Raises CommandError if it
    can't be written.
    """
    added = {**lines, **{name: secrets.token_hex(RANDOM_BYTES) for name in names}}
    path = path or ENV_FILE
    target = path.resolve()
    if target.exists() and not target.is_file():
        raise CommandError(f"{path} is not a regular file, so passwords can't be stored in it.")
    try:
        _replace(target, _extended(path, added))
    except OSError as error:
        raise CommandError(f"{path} can't be written: {error.strerror}.") from error


def _extended(path: Path, lines: Mapping[str, str]) -> str:
    text = read_text(path)
    if text and not text.endswith("\n"):
        text += "\n"
    return text + "".join(f"{name}={value}\n" for name, value in lines.items())


def _replace(path: Path, text: str) -> None:
    owner = path.stat() if path.exists() else None
    if owner and os.geteuid() not in {0, owner.st_uid}:
        raise CommandError(f"{path} can't be written: {whose(path)}")
    new = path.with_name(f"{path.name}.new")
    new.unlink(missing_ok=True)
    try:
        handle = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        if owner and os.geteuid() == 0:
            # The owner of the file stays the same.
            os.chown(new, owner.st_uid, owner.st_gid)
        new.replace(path)
    finally:
        new.unlink(missing_ok=True)
