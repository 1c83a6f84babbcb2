"""The settings, and the only reader of the environment."""

import os
import re
from enum import StrEnum
from functools import cached_property
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    BeforeValidator,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from service import limits
from service.settings.address import MAX_PORT, parse_address
from service.settings.env_file import ENCODING, read_env_file
from service.settings.origins import parse_origin
from service.settings.secret_files import SecretFiles, SettingsError

__all__ = ["ENV_FILE", "ROOT", "Environment", "Settings", "SettingsError", "load_settings"]

ROOT = Path(__file__).resolve().parents[2]
ENV_FILE = Path(os.environ.get("ENV_FILE", ROOT / ".env"))
# Production needs them.
REQUIRED = (
    "database_url",
    "secure_api_key",
)
SECRETS = (*REQUIRED, "database_direct_url")
# In characters, in production.
SHORTEST_KEY = 16
LONGEST_SECONDS = 86_400
UNREADABLE = "unreadable_secret"
BIND = re.compile(r"unix:/.+|(?:\[[0-9A-Fa-f:.]+\]|[^:\s]+):\d{1,5}")
# nginx keeps idle connections to the service for 3 seconds: less would lose requests.
SHORTEST_KEEP_ALIVE = 5
# A statement has half of it: the time-outs of the server and of the driver must not come too close.
SHORTEST_REQUEST = 1


class Environment(StrEnum):
    """The environment that the service runs in."""

    DEVELOPMENT = "development"
    PRODUCTION = "production"


def _split(value: object) -> object:
    return (
        tuple(filter(None, map(str.strip, value.split(",")))) if isinstance(value, str) else value
    )


def _upper(value: object) -> object:
    return value.upper() if isinstance(value, str) else value


def _readable(value: object) -> object:
    if isinstance(value, SettingsError):
        raise PydanticCustomError(UNREADABLE, "{reason}", {"reason": str(value)})
    return value


Secret = Annotated[SecretStr | None, BeforeValidator(_readable)]


class Settings(BaseSettings):
    """Every setting, from the environment or from `.env` in the root of the repository."""

    model_config = SettingsConfigDict(
        env_file=ENV_FILE,
        env_file_encoding=ENCODING,
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        hide_input_in_errors=True,
    )

    access_log_sampling: float = Field(default=1, ge=0, le=1)
    app_env: Environment = Environment.DEVELOPMENT
    bind: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)] = ("127.0.0.1:5000",)
    # nginx's maximum.
    connection_limit: int = Field(default=limits.CLIENT_REQUESTS.value, ge=1, le=65_535)
    cors_origins: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)] = (
        "http://localhost:8080",
    )
    database_direct_url: Secret = None
    database_pool_size: int = Field(default=10, ge=1, le=1000)
    database_statement_timeout: float = Field(
        default=limits.STATEMENT_SECONDS.value, ge=0.001, le=LONGEST_SECONDS
    )
    database_url: Secret = None
    drain_seconds: float = Field(default=5, ge=0, le=LONGEST_SECONDS)
    grafana_port: int = Field(default=3000, ge=1, le=MAX_PORT)
    http_host: str = "127.0.0.1"
    http_port: int = Field(default=8080, ge=1, le=MAX_PORT)
    keep_alive_timeout: int = Field(
        default=limits.KEEP_ALIVE_SECONDS.value, ge=SHORTEST_KEEP_ALIVE, le=LONGEST_SECONDS
    )
    log_format: Literal["json", "console"] | None = None
    log_level: Annotated[
        Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"], BeforeValidator(_upper)
    ] = "INFO"
    max_bodies_bytes: int = Field(default=limits.BODIES_BYTES.value, ge=1)
    max_body_bytes: int = Field(default=limits.BODY_BYTES.value, ge=1)
    max_connections: int = Field(default=limits.CONNECTIONS.value, ge=10, le=100_000)
    max_import_bytes: int = Field(default=limits.IMPORT_BYTES.value, ge=1)
    metrics_bind: str = ""
    path_prefix: str = ""
    rate_limit: int = Field(default=limits.RATE.value, ge=1, le=1_000_000)
    request_timeout: float = Field(default=limits.REQUEST_SECONDS.value, gt=0, le=LONGEST_SECONDS)
    secure_api_key: Secret = None
    server_timing: bool = False
    state_dir: Path = ROOT / ".local"
    traces_sampling: float = Field(default=0.01, ge=0, le=1)
    traces_url: str = ""
    trusted_proxies: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)] = ()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Return the sources by precedence: arguments, secret files, the environment, `.env`."""
        del file_secret_settings
        return (
            init_settings,
            SecretFiles(settings_cls, env_settings, SECRETS),
            env_settings,
            SecretFiles(settings_cls, dotenv_settings, SECRETS),
            dotenv_settings,
        )

    @cached_property
    def production(self) -> bool:
        """Whether the service runs in production."""
        return self.app_env is Environment.PRODUCTION

    @cached_property
    def json_logs(self) -> bool:
        """Whether a log line is a JSON object."""
        return self.log_format == "json" if self.log_format else self.production

    @cached_property
    def open_addresses(self) -> list[str]:
        """The settings, as `NAME=value`, whose address is open to other machines."""
        hosts = [(f"BIND={bind}", _host(bind)) for bind in self.bind]
        hosts.append((f"HTTP_HOST={self.http_host}", self.http_host))
        return [setting for setting, host in hosts if not _is_loopback(host)]

    @property
    def observes_requests(self) -> bool:
        """Whether statements and waits are noted for single requests."""
        return bool(self.traces_url) or self.server_timing

    @field_validator("state_dir")
    @classmethod
    def _check_state_dir(cls, value: Path) -> Path:
        try:
            # Relative to the root of the repository.
            return (ROOT / value.expanduser()).resolve()
        except (OSError, RuntimeError) as error:
            raise ValueError(f"{value} can't be used ({error}): choose another folder") from error

    @property
    def direct(self) -> Self:
        """The settings of what can't use a connection pooler, such as migrations."""
        if self.database_direct_url is None:
            return self
        return self.model_copy(update={"database_url": self.database_direct_url})

    @property
    def database_setting(self) -> str:
        """The name of the setting whose database these settings use."""
        is_direct = self.database_url is not None and self.database_url is self.database_direct_url
        return "DATABASE_DIRECT_URL" if is_direct else "DATABASE_URL"

    @field_validator("database_url", "database_direct_url")
    @classmethod
    def _check_database_url(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            parse_address(value.get_secret_value())
        return value

    @field_validator("cors_origins")
    @classmethod
    def _check_cors_origins(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        # Without duplicates: nginx has a map of them.
        return tuple(dict.fromkeys(one if one == "*" else parse_origin(one) for one in value))

    @field_validator("path_prefix")
    @classmethod
    def _check_path_prefix(cls, value: str) -> str:
        prefix = value.rstrip("/")
        if not re.fullmatch(r"(?:/(?!\.{1,2}(?:/|$))[A-Za-z0-9._~-]+)*", prefix):
            raise ValueError("must be like /api/v1: only letters, digits and . _ ~ - in each part")
        return prefix

    @field_validator("http_host")
    @classmethod
    def _check_http_host(cls, value: str) -> str:
        host = "127.0.0.1" if value == "localhost" else value.strip("[]")
        try:
            return str(ip_address(_without_zone(host)))
        except ValueError:
            raise ValueError("write an IP address, such as 127.0.0.1, 0.0.0.0 or ::") from None

    @field_validator("trusted_proxies")
    @classmethod
    def _check_trusted_proxies(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(map(_network, value))

    @field_validator("secure_api_key")
    @classmethod
    def _check_secure_api_key(cls, value: SecretStr | None) -> SecretStr | None:
        key = value.get_secret_value() if value is not None else "-"
        if not key.isprintable() or key != key.strip() or not key:
            raise ValueError(
                "must be printable, without surrounding spaces: it is sent in a header"
            )
        return value

    @field_validator("bind")
    @classmethod
    def _check_bind(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not value or not all(map(BIND.fullmatch, value)):
            raise ValueError("write HOST:PORT, [IPV6]:PORT or unix:/path")
        if any(int(bind.rpartition(":")[2]) > MAX_PORT for bind in value if bind[:5] != "unix:"):
            raise ValueError(f"a port is at most {MAX_PORT}")
        return value

    @field_validator("metrics_bind")
    @classmethod
    def _check_metrics_bind(cls, value: str) -> str:
        if value:
            if value.startswith("unix:"):
                raise ValueError("write HOST:PORT or [IPV6]:PORT")
            cls._check_bind((value,))
            # Maintenance of the local stack has the next one.
            if not 1 <= int(value.rpartition(":")[2]) < MAX_PORT:
                raise ValueError(f"the port is 1 to {MAX_PORT - 1}")
        return value

    @field_validator("request_timeout")
    @classmethod
    def _check_request_timeout(cls, value: float) -> float:
        if value < SHORTEST_REQUEST:
            raise ValueError(
                f"{value:g} is too short to tell a slow statement from a lost connection: "
                f"write {SHORTEST_REQUEST} or more seconds"
            )
        return value

    @field_validator("traces_url")
    @classmethod
    def _check_traces_url(cls, value: str) -> str:
        if not value:
            return value
        try:
            url = urlsplit(value)
            known = url.scheme in {"http", "https"} and url.hostname and url.port != 0
        except ValueError:
            known = False
        if not known or not value.isprintable() or " " in value:
            raise ValueError("write the URL of an OTLP receiver, such as http://localhost:4318")
        if "@" in url.netloc or url.query or url.fragment:
            raise ValueError("must have no credentials, no query and no fragment")
        # As in OpenTelemetry's own variable for a receiver.
        return value if url.path.strip("/") else f"{value.rstrip('/')}/v1/traces"

    @model_validator(mode="after")
    def _check_together(self) -> Self:
        checks = (
            self._key,
            self._bodies,
            self._direct_url,
            self._production,
            self._key_length,
        )
        if faults := [fault for check in checks if (fault := check())]:
            raise ValueError("\n".join(faults))
        return self

    def _key(self) -> str | None:
        if self.open_addresses and self.secure_api_key is None and not self.production:
            return (
                f"SECURE_API_KEY: is missing, and {self.open_addresses[0]} is open to other "
                "machines. Set a key, or use 127.0.0.1."
            )
        return None

    def _bodies(self) -> str | None:
        if self.max_bodies_bytes < self.max_body_bytes:
            return (
                f"MAX_BODIES_BYTES: {self.max_bodies_bytes} is less than MAX_BODY_BYTES, "
                f"{self.max_body_bytes}. Set it to several times that."
            )
        return None

    def _direct_url(self) -> str | None:
        if self.database_url is None and self.database_direct_url is not None:
            return (
                "DATABASE_DIRECT_URL: is set without DATABASE_URL. Set DATABASE_URL, and this one "
                "only if DATABASE_URL is that of a connection pooler."
            )
        return None

    def _production(self) -> str | None:
        missing = [name.upper() for name in REQUIRED if getattr(self, name) is None]
        if self.production and missing:
            return "\n".join(
                f"{name}: missing. With APP_ENV=production set {name}, or {name}_FILE."
                for name in missing
            )
        return None

    def _key_length(self) -> str | None:
        key = self.secure_api_key
        if self.production and key and len(key.get_secret_value()) < SHORTEST_KEY:
            return f"SECURE_API_KEY: production needs at least {SHORTEST_KEY} characters."
        return None


def _host(bind: str) -> str:
    return "localhost" if bind.startswith("unix:") else bind.rpartition(":")[0].strip("[]")


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _without_zone(address: str) -> str:
    if "%" in address:
        # Python accepts any text after it, which would be written to nginx's configuration.
        raise ValueError
    return address


def _network(text: str) -> str:
    try:
        network = ip_network(_without_zone(text), strict=False)
    except ValueError:
        raise ValueError(f"{text} must be an address or a network, such as 10.0.0.0/8") from None
    if network.prefixlen == 0:
        raise ValueError(f"{text} trusts every client: any client could forge its address")
    if ip_address(text.partition("/")[0]) != network.network_address:
        raise ValueError(f"{text} has bits beyond its prefix: write {network}")
    return str(network)


def load_settings(**values: Any) -> Settings:
    """Read the settings; `values` take precedence over the environment.

    Raises SettingsError if values are missing or invalid, with a line for each, or if `.env`
    can't be read.
    """
    if file := Settings.model_config.get("env_file"):
        read_env_file(Path(str(file)))
    try:
        return Settings(**values)
    except ValidationError as error:
        raise SettingsError("\n".join(_sentences(error, values))) from error


def _sentences(error: ValidationError, values: dict[str, Any]) -> list[str]:
    """Return a line for each invalid value, and for those that don't go together."""
    sentences = [_sentence(fault) for fault in error.errors()]
    wrong = {str(fault["loc"][0]) for fault in error.errors() if fault["loc"]}
    if wrong:
        defaults = {name: Settings.model_fields[name].default for name in wrong}
        try:
            Settings(**values | defaults)
        except ValidationError as more:
            lines = "\n".join(map(_sentence, more.errors())).splitlines()
            # A wrong value is not missing.
            sentences += [one for one in lines if one.partition(":")[0].lower() not in wrong]
    return sentences


def _sentence(fault: Any) -> str:
    name = ".".join(str(part) for part in fault["loc"][:1]).upper()
    text = str(fault["msg"]).removeprefix("Value error, ")
    if fault["type"] == UNREADABLE:  # It names the file's setting.
        return text
    return f"{name}: {text}." if name else text
