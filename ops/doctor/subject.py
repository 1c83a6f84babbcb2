"""What the checks look at: settings, stack and database, each looked at once."""

from collections.abc import Callable
from enum import Enum
from pathlib import Path
from typing import Any, TypeVar

from ops.containers import compose
from ops.containers.engine import EngineError
from ops.doctor import queries
from ops.doctor.checking import NothingToCheckError
from ops.doctor.queries import Facts
from ops.local import processes
from service.settings import (
    ENV_FILE,
    ROOT,
    Settings,
    SettingsError,
    load_settings,
    read_env_file,
)

Seen = TypeVar("Seen")


class Place(Enum):
    """Where the stack runs."""

    LOCAL = "local processes"
    CONTAINERS = "containers"
    NOWHERE = "nowhere"


FAILED = {
    "settings": "the settings are wrong",
    "supervisor": "the state of the local stack is not known",
    "place": "it is not known whether the stack runs",
    "facts": "the database was not reached",
}


class Subject:
    """What the checks look at.

    A property that fails raises the reason once, and then NothingToCheckError: one check reports
    it.
    """

    def __init__(self) -> None:
        self._seen: dict[str, Any] = {}
        self._failed: set[str] = set()

    @property
    def settings(self) -> Settings:
        """The settings. Raises SettingsError."""
        return self._once("settings", load_settings)

    @property
    def state_dir(self) -> Path:
        """The folder of the local stack; the usual one if the settings are wrong."""
        try:
            return self.settings.state_dir
        except (SettingsError, NothingToCheckError):
            return ROOT / ".local"

    @property
    def place(self) -> Place:
        """Where the stack runs. Raises OperatorError if that can't be said."""
        return self._once("place", self._find_place)

    @property
    def supervisor(self) -> Any:
        """The supervisor of the local stack, or None if there is none."""
        settings = self.settings
        return self._once("supervisor", lambda: processes.connect(settings.state_dir))

    @property
    def facts(self) -> Facts:
        """What the database says of itself. Raises DatabaseError, OperatorError or OSError."""
        return self._once("facts", lambda: queries.look(self.query))

    def query(self, sql: str) -> Any:
        """Return the JSON value that a query of the database gives."""
        if self.settings.database_url is None and self.place is Place.CONTAINERS:
            return queries.in_container(sql)
        return queries.query(queries.url(self.settings), sql)

    def _find_place(self) -> Place:
        if self.supervisor is not None:
            return Place.LOCAL
        try:
            return Place.CONTAINERS if compose.runs() else Place.NOWHERE
        except EngineError:
            if was_in_containers():
                raise
            return Place.NOWHERE

    def _once(self, name: str, look: Callable[[], Seen]) -> Seen:
        if name in self._failed:
            raise NothingToCheckError(FAILED[name])
        if name not in self._seen:
            # Before it looks: a check that hangs is left running, and the next one must not hang.
            self._failed.add(name)
            self._seen[name] = look()
            self._failed.remove(name)
        found: Seen = self._seen[name]
        return found


def was_in_containers() -> bool:
    """Return whether `just up` has prepared this folder for containers."""
    try:
        return "POSTGRES_PASSWORD" in read_env_file(ENV_FILE)
    except SettingsError:  # Of which a check of its own tells.
        return False
