"""The settings, and the only reader of the environment: variables, secret files, `DATABASE_URL`."""

from service.settings.address import Address, Host, parse_address
from service.settings.env_file import read_env_file, read_text
from service.settings.libpq_files import password_for
from service.settings.private_directories import (
    DirectoryError,
    make_private,
    private_file,
    require_owner,
    socket_directory,
)
from service.settings.settings import (
    ENV_FILE,
    ROOT,
    SECRETS,
    SHORTEST_KEY,
    Environment,
    Settings,
    SettingsError,
    load_settings,
)
from service.settings.tls import tls_attempts

__all__ = [
    "ENV_FILE",
    "ROOT",
    "SECRETS",
    "SHORTEST_KEY",
    "Address",
    "DirectoryError",
    "Environment",
    "Host",
    "Settings",
    "SettingsError",
    "load_settings",
    "make_private",
    "parse_address",
    "password_for",
    "private_file",
    "read_env_file",
    "read_text",
    "require_owner",
    "socket_directory",
    "tls_attempts",
]
