"""The environment of every program that the commands start.

It is an allow-list: variables that the user sets for other programs (`PGHOST`, `ALEMBIC_CONFIG`,
`PYTHONPATH`, `UV_PYTHON`) have no effect here. It needs only Python, so that the first set-up can
use it.
"""

import os
from collections.abc import Collection

from ops import indexes

# The user, and the machine's network.
PASSED = frozenset(
    """
    ALL_PROXY CI COLORTERM COLUMNS COVERAGE_PROCESS_CONFIG COVERAGE_PROCESS_START CURL_CA_BUNDLE
    EDITOR ENV_FILE FORCE_COLOR FTP_PROXY HOME HTTPS_PROXY HTTP_PROXY INVOCATION_DIRECTORY
    JUST_COMMAND LANG LANGUAGE LC_ALL LC_COLLATE LC_CTYPE LC_MESSAGES LC_NUMERIC LC_TIME LESS LINES
    LOGNAME NETRC NODE_EXTRA_CA_CERTS NO_COLOR NO_PROXY PAGER PATH PSQL_EDITOR PSQL_HISTORY
    PSQL_PAGER REQUESTS_CA_BUNDLE REQUIRE_REDOCLY SHELL SSL_CERT_DIR SSL_CERT_FILE TERM TMPDIR TZ
    USER VISUAL XDG_CACHE_HOME XDG_CONFIG_HOME XDG_DATA_HOME XDG_RUNTIME_DIR
    """.split()  # noqa: SIM905  # So the names are easy to read.
)
# The Docker engine.
DOCKER = frozenset(
    """
    BUILDX_BUILDER BUILDX_CONFIG CONTAINER_HOST DBUS_SESSION_BUS_ADDRESS DOCKER_API_VERSION
    DOCKER_CERT_PATH DOCKER_CONFIG DOCKER_CONTEXT DOCKER_DEFAULT_PLATFORM DOCKER_HOST DOCKER_TLS
    DOCKER_TLS_VERIFY SSH_AUTH_SOCK WSL_DISTRO_NAME WSL_INTEROP
    """.split()  # noqa: SIM905
)


# The package indexes; other variables of pip, uv and npm are removed.
PIP = frozenset(
    """
    PIP_CACHE_DIR PIP_CERT PIP_CLIENT_CERT PIP_CONFIG_FILE PIP_DEFAULT_TIMEOUT PIP_EXTRA_INDEX_URL
    PIP_FIND_LINKS PIP_INDEX_URL PIP_KEYRING_PROVIDER PIP_NO_CACHE_DIR PIP_NO_INDEX PIP_PROXY
    PIP_RETRIES PIP_TIMEOUT PIP_TRUSTED_HOST XDG_CONFIG_DIRS
    """.split()  # noqa: SIM905
)
UV = frozenset(
    """
    UV_CACHE_DIR UV_CONCURRENT_DOWNLOADS UV_CONFIG_FILE UV_DEFAULT_INDEX UV_EXTRA_INDEX_URL
    UV_FIND_LINKS UV_HTTP_TIMEOUT UV_INDEX UV_INDEX_STRATEGY UV_INDEX_URL UV_INSECURE_HOST
    UV_KEYRING_PROVIDER UV_LINK_MODE UV_NATIVE_TLS UV_NO_CACHE UV_NO_INDEX UV_OFFLINE
    UV_SYSTEM_CERTS
    """.split()  # noqa: SIM905
)
NPM = frozenset(
    """
    NODE_AUTH_TOKEN NPM_CONFIG_CACHE NPM_CONFIG_CAFILE NPM_CONFIG_GLOBALCONFIG
    NPM_CONFIG_HTTPS_PROXY NPM_CONFIG_NOPROXY NPM_CONFIG_OFFLINE NPM_CONFIG_PROXY
    NPM_CONFIG_REGISTRY NPM_CONFIG_USERCONFIG NPM_TOKEN
    """.split()  # noqa: SIM905
)


def clean() -> None:
    """Remove all other variables from the environment of this process and its children."""
    found = kept(settings_names() | DOCKER | PIP | UV | NPM)
    os.environ.clear()
    os.environ.update(found)


def for_pip() -> dict[str, str]:
    """Return pip's environment."""
    # A user's --user or --require-virtualenv would prevent an installation into a folder.
    own = {"PIP_USER": "0", "PIP_REQUIRE_VIRTUALENV": "0", "PIP_ROOT_USER_ACTION": "ignore"}
    return kept(PIP) | own


def for_uv() -> dict[str, str]:
    """Return uv's environment, with pip's index if uv has none configured."""
    # Like pip and git, uv trusts the authorities that this machine trusts.
    own = {"UV_PYTHON_DOWNLOADS": "never", "UV_SYSTEM_CERTS": "true"}
    return own | kept(UV) | indexes.for_uv(os.environ)


def for_npm() -> dict[str, str]:
    """Return npm's environment."""
    # Like pip and uv, npm trusts the authorities that this machine trusts.
    return kept(NPM) | {"NODE_USE_SYSTEM_CA": "1"}


def kept(names: Collection[str]) -> dict[str, str]:
    """Return the variables that are passed to every program, and those named."""
    wanted = {*PASSED, *names}
    found = {
        name: value
        for name, value in os.environ.items()
        # The latter are the logins of uv's indexes.
        if name.upper() in wanted or (UV & wanted and name.startswith("UV_INDEX_"))
    }
    # Paths and messages are UTF-8 whatever the locale says.
    return {**found, "PYTHONUTF8": "1"}


def settings_names() -> set[str]:
    """Return the variables that the service reads."""
    # Imported here, because pydantic is not installed at the first set-up.
    from service.settings import SECRETS, Settings  # noqa: PLC0415

    names = {name.upper() for name in Settings.model_fields}
    return names | {f"{name.upper()}_FILE" for name in SECRETS}
