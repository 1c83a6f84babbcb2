"""The environment of every program that the commands start.

It is a list of what may pass: what the shell of a person sets for other programs (`PGHOST`,
`ALEMBIC_CONFIG`, `PYTHONPATH`, `UV_PYTHON`) changes nothing here. It needs nothing but Python, so
that it also serves the first set-up.
"""

import os
from collections.abc import Collection

# Who the person is, and how their machine reaches the network.
PASSED = frozenset(
    """
    ALL_PROXY CI COLORTERM COLUMNS COVERAGE_PROCESS_CONFIG COVERAGE_PROCESS_START CURL_CA_BUNDLE
    EDITOR ENV_FILE FORCE_COLOR FTP_PROXY HOME HTTPS_PROXY HTTP_PROXY INVOCATION_DIRECTORY
    JUST_COMMAND LANG LANGUAGE LC_ALL LC_COLLATE LC_CTYPE LC_MESSAGES LC_NUMERIC LC_TIME LESS LINES
    LOGNAME NETRC NODE_EXTRA_CA_CERTS NO_COLOR NO_PROXY PAGER PATH PSQL_EDITOR PSQL_HISTORY
    PSQL_PAGER REQUESTS_CA_BUNDLE SHELL SSL_CERT_DIR SSL_CERT_FILE TERM TMPDIR TZ USER VISUAL
    XDG_CACHE_HOME XDG_CONFIG_HOME XDG_DATA_HOME XDG_RUNTIME_DIR
    """.split()  # noqa: SIM905  # So the names are easy to read.
)
# Which engine is meant, and how it is reached.
DOCKER = frozenset(
    """
    BUILDX_BUILDER BUILDX_CONFIG DOCKER_API_VERSION DOCKER_CERT_PATH DOCKER_CONFIG DOCKER_CONTEXT
    DOCKER_DEFAULT_PLATFORM DOCKER_HOST DOCKER_TLS DOCKER_TLS_VERIFY SSH_AUTH_SOCK
    """.split()  # noqa: SIM905
)


def clean() -> None:
    """Take everything else out of this process's environment, and so out of all that it starts."""
    found = kept(settings_names() | DOCKER)
    os.environ.clear()
    os.environ.update(found)


def kept(names: Collection[str]) -> dict[str, str]:
    """Return the variables that are passed to every program, and those named."""
    wanted = {*PASSED, *names}
    found = {name: value for name, value in os.environ.items() if name.upper() in wanted}
    # Paths and messages are UTF-8 whatever the locale says.
    return {**found, "PYTHONUTF8": "1"}


def settings_names() -> set[str]:
    """Return the variables that the service reads."""
    # Here, for the first set-up has no pydantic.
    from service.settings import SECRETS, Settings  # noqa: PLC0415

    names = {name.upper() for name in Settings.model_fields}
    return names | {f"{name.upper()}_FILE" for name in SECRETS}
