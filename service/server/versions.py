"""The versions of the libraries that this project overrides parts of."""

from collections.abc import Mapping
from importlib.metadata import version

from service.failures import OperatorError

# A release with another beginning may differ in what is overridden. pyproject.toml pins the same.
OVERRIDDEN = {
    "asyncpg": "0.32.",
    "h11": "0.16.",
    "hypercorn": "0.18.",
    "quart": "0.22.",
    "quart-schema": "0.25.",
    "sqlalchemy": "2.1.",
    "uvloop": "0.23.",
    "werkzeug": "3.1.",
}


def require_versions(wanted: Mapping[str, str] = OVERRIDDEN) -> None:
    """Raise OperatorError if a library has another version than those that are known to work."""
    for name, beginning in wanted.items():
        if not (found := version(name)).startswith(beginning):
            raise OperatorError(
                f"{name} {found} is installed, but the service overrides parts of {beginning}x. "
                "Install what requirements/production.txt pins (`just setup`)."
            )
