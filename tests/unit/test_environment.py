"""The user's environment variables that are passed to programs."""

import os

import pytest

from ops import environment


@pytest.mark.parametrize(
    "name",
    [
        *("ALEMBIC_CONFIG", "BASH_ENV", "COMPOSE_FILE", "PGHOST", "PGOPTIONS", "PGPASSWORD"),
        *("PIP_USER", "PYTHONHOME", "PYTHONPATH", "PYTHONSTARTUP", "UV_PYTHON", "VIRTUAL_ENV"),
    ],
)
def test_variables_of_other_programs_are_not_passed_on(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(os, "environ", {name: "x", "PATH": "/bin"})

    environment.clean()

    assert os.environ == {"PATH": "/bin", "PYTHONUTF8": "1"}


@pytest.mark.parametrize(
    "name",
    [
        *("DATABASE_URL", "DATABASE_URL_FILE", "SECURE_API_KEY_FILE", "HTTP_PORT", "STATE_DIR"),
        *("DOCKER_HOST", "HOME", "TERM", "https_proxy", "HTTPS_PROXY", "SSL_CERT_FILE"),
    ],
)
def test_settings_and_ways_out_pass(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(os, "environ", {name: "x"})

    environment.clean()

    assert os.environ[name] == "x"
