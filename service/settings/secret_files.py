"""Secrets from files: `NAME_FILE` names the file that holds the value of `NAME`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic_settings import BaseSettings, EnvSettingsSource

from service.failures import OperatorError


class SettingsError(OperatorError):
    """Settings have invalid values: the message has a line for each, with its name."""


class SecretFiles(EnvSettingsSource):
    """Read a secret from the file that `NAME_FILE` of another source points to."""

    def __init__(self, settings_cls: type[BaseSettings], source: Any, names: Sequence[str]) -> None:
        super().__init__(settings_cls)
        self.env_vars = source.env_vars
        self._names = names

    def __call__(self) -> dict[str, Any]:
        """Return the secrets that have a file, or the error in place of one that can't be read."""
        return {name: found for name in self._names if (found := self._read(name)) is not None}

    def _read(self, name: str) -> str | SettingsError | None:
        path = self.env_vars.get(f"{name}_file")
        if not path:
            return None
        if self.env_vars.get(name):
            return SettingsError(
                f"{name.upper()} and {name.upper()}_FILE are both set: keep one of them."
            )
        try:
            text = Path(path).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "It is not UTF-8"
            return SettingsError(f"{name.upper()}_FILE: can't read {path}: {reason}.")
        if not text:
            return SettingsError(f"{name.upper()}_FILE: {path} is empty.")
        return text
