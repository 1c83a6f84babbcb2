"""The settings: defaults, sources, and a clear line for what is wrong."""

import os
import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from service.settings import ROOT, SECRETS, Settings, SettingsError, load_settings

KEY = "0123456789abcdef"
URL = "postgresql://user:s3cret-w0rd@host/name"
PRODUCTION = {"APP_ENV": "production", "DATABASE_URL": URL, "SECURE_API_KEY": KEY}

# Section 4 of the design, in this build.
DEFAULTS: dict[str, Any] = {
    "app_env": "development",
    "bind": ("127.0.0.1:5000",),
    "connection_limit": 100,
    "cors_origins": ("http://localhost:8080",),
    "database_direct_url": None,
    "database_pool_size": 10,
    "database_statement_timeout": 5,
    "database_url": None,
    "drain_seconds": 5,
    "grafana_port": 3000,
    "http_host": "127.0.0.1",
    "http_port": 8080,
    "keep_alive_timeout": 75,
    "log_format": None,
    "log_level": "INFO",
    "max_bodies_bytes": 64 * 1024**2,
    "max_body_bytes": 1024**2,
    "max_connections": 500,
    "max_import_bytes": 1024**3,
    "metrics_bind": "",
    "path_prefix": "",
    "rate_limit": 500,
    "request_timeout": 30,
    "secure_api_key": None,
    "server_timing": False,
    "state_dir": ROOT / ".local",
    "traces_sampling": 0.01,
    "traces_url": "",
    "trusted_proxies": (),
}
# With the settings that a project has added.
ALL = {name: field.default for name, field in Settings.model_fields.items()} | DEFAULTS
# nginx reads these; the service does not.
STACK: set[str] = set()


@pytest.fixture(autouse=True)
def empty_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take every setting out of the environment."""
    for name in list(os.environ):
        if name.upper().removesuffix("_FILE") in {field.upper() for field in ALL}:
            monkeypatch.delenv(name)


def load(monkeypatch: pytest.MonkeyPatch, environment: dict[str, str]) -> Settings:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return load_settings()


def refusal(monkeypatch: pytest.MonkeyPatch, environment: dict[str, str]) -> str:
    """Return the lines that stop the start."""
    with pytest.raises(SettingsError) as caught:
        load(monkeypatch, environment)
    return str(caught.value)


def secret(value: SecretStr | None) -> str | None:
    return None if value is None else value.get_secret_value()


@pytest.mark.parametrize("name", DEFAULTS)
def test_every_setting_has_its_default(name: str) -> None:
    assert getattr(load_settings(), name) == DEFAULTS[name]


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("BIND", "0.0.0.0:80", ("0.0.0.0:80",)),
        ("BIND", "unix:/run/flusk.sock", ("unix:/run/flusk.sock",)),
        ("BIND", "127.0.0.1:5000, [::1]:5000 ", ("127.0.0.1:5000", "[::1]:5000")),
        ("CORS_ORIGINS", "*", ("*",)),
        ("CORS_ORIGINS", "https://a.example", ("https://a.example",)),
        (
            "CORS_ORIGINS",
            " https://a.example , http://b.example:81 ,",
            ("https://a.example", "http://b.example:81"),
        ),
        ("CORS_ORIGINS", "HTTPS://App.Example.ORG/", ("https://app.example.org",)),
        (
            "CORS_ORIGINS",
            "https://a.example:443,http://b.example:080",
            ("https://a.example", "http://b.example"),
        ),
        ("CORS_ORIGINS", "https://a.example:80", ("https://a.example:80",)),
        ("CORS_ORIGINS", "http://a.example:", ("http://a.example",)),
        (
            "CORS_ORIGINS",
            "http://[0:0::1]:8080,http://127.0.0.1",
            ("http://[::1]:8080", "http://127.0.0.1"),
        ),
        ("CORS_ORIGINS", "http://a.example,http://A.example:80", ("http://a.example",)),
        ("CORS_ORIGINS", "capacitor://localhost", ("capacitor://localhost",)),
        ("CORS_ORIGINS", ",", ()),
        ("CORS_ORIGINS", "", ("http://localhost:8080",)),
        ("DATABASE_POOL_SIZE", "3", 3),
        ("DATABASE_STATEMENT_TIMEOUT", "0.5", 0.5),
        ("DRAIN_SECONDS", "0", 0),
        ("HTTP_HOST", "0.0.0.0", "0.0.0.0"),
        ("HTTP_HOST", "localhost", "127.0.0.1"),
        ("HTTP_HOST", "[::1]", "::1"),
        ("HTTP_HOST", "2001:DB8:0::1", "2001:db8::1"),
        ("HTTP_PORT", "9000", 9000),
        ("KEEP_ALIVE_TIMEOUT", "620", 620),
        ("LOG_FORMAT", "json", "json"),
        ("LOG_LEVEL", "debug", "DEBUG"),
        ("LOG_LEVEL", "Warning", "WARNING"),
        ("MAX_BODY_BYTES", "1", 1),
        ("MAX_IMPORT_BYTES", "2", 2),
        ("METRICS_BIND", "0.0.0.0:9090", "0.0.0.0:9090"),
        ("PATH_PREFIX", "/api", "/api"),
        ("PATH_PREFIX", "/Team-1/api_v1.2/~x/", "/Team-1/api_v1.2/~x"),
        ("PATH_PREFIX", "/", ""),
        ("PATH_PREFIX", "", ""),
        ("REQUEST_TIMEOUT", "1", 1),
        ("REQUEST_TIMEOUT", "", 30),
        ("SERVER_TIMING", "true", True),
        ("STATE_DIR", "/var/state", Path("/var/state")),
        ("TRACES_SAMPLING", "0.5", 0.5),
        ("TRACES_URL", "http://collector:4318", "http://collector:4318/v1/traces"),
        ("TRACES_URL", "https://[::1]:4318/", "https://[::1]:4318/v1/traces"),
        ("TRACES_URL", "https://a.example/otlp/v1/traces", "https://a.example/otlp/v1/traces"),
        ("TRUSTED_PROXIES", "10.0.0.0/8, 192.0.2.7,", ("10.0.0.0/8", "192.0.2.7/32")),
        ("TRUSTED_PROXIES", "2001:DB8::/32,::1", ("2001:db8::/32", "::1/128")),
    ],
)
def test_a_setting_is_read_from_the_environment(
    monkeypatch: pytest.MonkeyPatch, name: str, text: str, value: object
) -> None:
    settings = load(monkeypatch, {name: text, "SECURE_API_KEY": KEY})

    assert getattr(settings, name.lower()) == value


def test_a_value_given_in_code_wins_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PORT", "1")

    assert load_settings(http_port=2).http_port == 2


def test_settings_do_not_change() -> None:
    with pytest.raises(ValueError, match="frozen"):
        setattr(load_settings(), "bind", "127.0.0.1:1")  # noqa: B010  # mypy sees it as well.


@pytest.mark.parametrize(
    ("environment", "as_json"),
    [
        ({}, False),
        ({"LOG_FORMAT": "json"}, True),
        (PRODUCTION, True),
        (PRODUCTION | {"LOG_FORMAT": "console"}, False),
    ],
)
def test_the_log_format_goes_by_the_environment_unless_it_is_set(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], as_json: bool
) -> None:
    assert load(monkeypatch, environment).json_logs is as_json


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("APP_ENV", "staging"),
        ("BIND", "5000"),
        ("BIND", "localhost"),
        ("BIND", "localhost:"),
        ("BIND", "localhost:http"),
        ("BIND", ":5000"),
        ("BIND", "::1:5000"),
        ("BIND", "unix:"),
        ("BIND", "unix:relative"),
        ("BIND", "127.0.0.1:65536"),
        ("BIND", "127.0.0.1:99999"),
        ("BIND", ","),
        ("BIND", "127.0.0.1:5000,5001"),
        ("BIND", "127.0.0.1:5000,127.0.0.1:65536"),
        ("BIND", "http://127.0.0.1:5000"),
        ("CORS_ORIGINS", "https://*.example.org"),
        ("CORS_ORIGINS", "**"),
        ("CORS_ORIGINS", "https://a.example/path"),
        ("CORS_ORIGINS", "https://a.example?x"),
        ("CORS_ORIGINS", "https://a.example#x"),
        ("CORS_ORIGINS", "https://user@a.example"),
        ("CORS_ORIGINS", "https://a..example"),
        ("CORS_ORIGINS", "https://b\u00fccher.example"),
        ("CORS_ORIGINS", "https://a.example:65536"),
        ("CORS_ORIGINS", "https://a.example:x"),
        ("CORS_ORIGINS", "http://127.1"),
        ("CORS_ORIGINS", "http://[::1"),
        ("CORS_ORIGINS", "http://[::x]"),
        ("CORS_ORIGINS", "a.example"),
        ("CORS_ORIGINS", "localhost:8080"),
        ("CORS_ORIGINS", "//a.example"),
        ("CORS_ORIGINS", "file:///"),
        ("CORS_ORIGINS", "null"),
        ("DATABASE_POOL_SIZE", "0"),
        ("DATABASE_POOL_SIZE", "ten"),
        ("DATABASE_STATEMENT_TIMEOUT", "0"),
        ("DATABASE_STATEMENT_TIMEOUT", "nan"),
        ("DATABASE_STATEMENT_TIMEOUT", "inf"),
        ("DATABASE_STATEMENT_TIMEOUT", "5s"),
        ("DATABASE_URL", "mysql://host/name"),
        ("DATABASE_URL", "host/name"),
        ("DRAIN_SECONDS", "-1"),
        ("DRAIN_SECONDS", "inf"),
        ("HTTP_HOST", "example.org"),
        ("HTTP_HOST", "127.0.0.1:8080"),
        ("HTTP_HOST", "fe80::1%eth0;"),
        ("HTTP_PORT", "0"),
        ("HTTP_PORT", "65536"),
        ("HTTP_PORT", "80.5"),
        ("KEEP_ALIVE_TIMEOUT", "4"),
        ("KEEP_ALIVE_TIMEOUT", "75s"),
        ("LOG_FORMAT", "xml"),
        ("LOG_LEVEL", "LOUD"),
        ("MAX_BODIES_BYTES", "64MiB"),
        # Less than one body may have.
        ("MAX_BODIES_BYTES", "1048575"),
        ("MAX_BODY_BYTES", "1MiB"),
        ("MAX_BODY_BYTES", "0"),
        ("MAX_IMPORT_BYTES", "-1"),
        ("PATH_PREFIX", "api"),
        ("PATH_PREFIX", "/api//v1"),
        ("PATH_PREFIX", "//evil.example"),
        ("PATH_PREFIX", "/../api"),
        ("PATH_PREFIX", "/api/."),
        ("PATH_PREFIX", "/a b"),
        ("PATH_PREFIX", "/a?b"),
        ("PATH_PREFIX", "/a%20b"),
        ("PATH_PREFIX", "/a<b>"),
        ("PATH_PREFIX", "https://example.org/api"),
        ("REQUEST_TIMEOUT", "0"),
        ("REQUEST_TIMEOUT", "0.9"),
        ("REQUEST_TIMEOUT", "nan"),
        ("SERVER_TIMING", "always"),
        ("TRACES_SAMPLING", "1%"),
        ("TRACES_SAMPLING", "-0.1"),
        ("TRACES_SAMPLING", "1.1"),
        ("TRACES_SAMPLING", "nan"),
        ("TRACES_URL", "collector:4318"),
        ("TRACES_URL", "grpc://collector:4317"),
        ("TRACES_URL", "http://"),
        ("TRACES_URL", "http://collector:0"),
        ("TRACES_URL", "http://collector:65536"),
        ("TRACES_URL", "http://[::1"),
        ("TRACES_URL", "http://a b"),
        ("TRACES_URL", "http://user:word@collector:4318"),
        ("TRACES_URL", "http://collector:4318?key=1"),
        ("TRACES_URL", "http://collector:4318#x"),
        ("TRUSTED_PROXIES", "10.0.0.0/33"),
        ("TRUSTED_PROXIES", "10.0.0.1/8"),
        ("TRUSTED_PROXIES", "10.0.0.0/8 192.0.2.0/24"),
        ("TRUSTED_PROXIES", "0.0.0.0/0"),
        ("TRUSTED_PROXIES", "::/0"),
        ("TRUSTED_PROXIES", "10.0.0.1;"),
        ("TRUSTED_PROXIES", "fe80::1%eth0"),
        ("TRUSTED_PROXIES", "proxy.example"),
    ],
)
def test_a_wrong_value_stops_the_start_with_one_line_that_names_it(
    monkeypatch: pytest.MonkeyPatch, name: str, text: str
) -> None:
    line = refusal(monkeypatch, {name: text})

    assert re.fullmatch(rf"{name}: .+\.", line)


def test_a_deadline_that_is_too_short_is_refused_with_what_to_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert refusal(monkeypatch, {"REQUEST_TIMEOUT": "0.25"}).strip() == (
        "REQUEST_TIMEOUT: 0.25 is too short to tell a slow statement from a lost connection: "
        "write 1 or more seconds."
    )


def test_each_wrong_value_has_its_line(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = refusal(monkeypatch, {"HTTP_PORT": "x", "LOG_LEVEL": "x"}).splitlines()

    assert [line.partition(":")[0] for line in lines] == ["HTTP_PORT", "LOG_LEVEL"]


def test_wrong_values_do_not_hide_those_that_do_not_go_together(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    lines = refusal(
        monkeypatch,
        {
            "APP_ENV": "production",
            "DATABASE_URL_FILE": str(tmp_path / "none"),
            "HTTP_PORT": "x",
            "MAX_BODIES_BYTES": "1",
            "SECURE_API_KEY": "short",
        },
    ).splitlines()

    assert [line.partition(":")[0] for line in lines] == [
        "DATABASE_URL_FILE",
        "HTTP_PORT",
        "MAX_BODIES_BYTES",
        "SECURE_API_KEY",
    ]


def test_a_wrong_value_is_not_called_missing_too(monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = PRODUCTION | {"SECURE_API_KEY": "two\nlines"}

    assert refusal(monkeypatch, wrong).count("SECURE_API_KEY") == 1


@pytest.mark.parametrize(
    "environment",
    [
        {"DATABASE_URL": "mysql://s3cret-w0rd"},
        {"DATABASE_URL": URL, "BIND": "x"},
        {"SECURE_API_KEY": "s3cret-w0rd", "HTTP_PORT": "x"},
        PRODUCTION | {"SECURE_API_KEY": "s3cret-w0rd"},
    ],
)
def test_a_refusal_does_not_show_a_secret(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str]
) -> None:
    assert "s3cret" not in refusal(monkeypatch, environment)


def test_settings_do_not_show_their_secrets() -> None:
    settings = load_settings(database_url=URL, secure_api_key="s3cret-w0rd")

    assert "s3cret" not in f"{settings!r} {settings}"


@pytest.mark.parametrize("name", SECRETS)
@pytest.mark.parametrize("text", [URL, f"{URL}\n", f" {URL}\r\n"])
def test_a_secret_is_read_from_its_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, text: str
) -> None:
    path = tmp_path / "secret"
    path.write_text(text, encoding="utf-8")

    needed = {"DATABASE_URL": URL} if name == "database_direct_url" else {}
    settings = load(monkeypatch, needed | {f"{name.upper()}_FILE": str(path)})

    assert secret(getattr(settings, name)) == URL


@pytest.mark.parametrize("name", SECRETS)
def test_a_secret_and_its_file_at_once_are_an_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    path = tmp_path / "secret"
    path.write_text(URL, encoding="utf-8")
    name = name.upper()

    line = refusal(monkeypatch, {name: URL, f"{name}_FILE": str(path)})

    assert line == f"{name} and {name}_FILE are both set: keep one of them."


@pytest.mark.parametrize("name", SECRETS)
def test_a_secrets_file_that_cant_be_read_is_an_error_that_says_why(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    name = f"{name.upper()}_FILE"

    assert refusal(monkeypatch, {name: f"{tmp_path}/none"}) == (
        f"{name}: can't read {tmp_path}/none: No such file or directory."
    )
    assert refusal(monkeypatch, {name: str(tmp_path)}) == (
        f"{name}: can't read {tmp_path}: Is a directory."
    )


@pytest.mark.parametrize("name", SECRETS)
@pytest.mark.parametrize("content", [b"", b" \n"], ids=["empty", "blank"])
def test_an_empty_secrets_file_is_an_error_that_names_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, content: bytes
) -> None:
    path = tmp_path / "secret"
    path.write_bytes(content)

    line = refusal(monkeypatch, {f"{name.upper()}_FILE": str(path)})

    assert name.upper() in line
    assert "\n" not in line


@pytest.mark.parametrize("name", SECRETS)
def test_a_secrets_file_that_is_no_text_is_an_error_that_names_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    path = tmp_path / "secret"
    path.write_bytes(b"\xff\xfe\x00")

    assert f"{name.upper()}_FILE" in refusal(monkeypatch, {f"{name.upper()}_FILE": str(path)})


def test_the_environment_wins_over_the_file_env(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / ".env").write_text("HTTP_PORT=1\nLOG_LEVEL=debug\n", encoding="utf-8")
    monkeypatch.setitem(Settings.model_config, "env_file", tmp_path / ".env")
    monkeypatch.setenv("HTTP_PORT", "2")

    settings = load_settings()

    assert (settings.http_port, settings.log_level) == (2, "DEBUG")


@pytest.mark.parametrize("name", SECRETS)
def test_the_file_env_may_name_a_secrets_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    (tmp_path / "secret").write_text(URL, encoding="utf-8")
    needed = f"DATABASE_URL={URL}\n" if name == "database_direct_url" else ""
    (tmp_path / ".env").write_text(
        f"{needed}{name.upper()}_FILE={tmp_path}/secret\n", encoding="utf-8"
    )
    monkeypatch.setitem(Settings.model_config, "env_file", tmp_path / ".env")

    assert secret(getattr(load_settings(), name)) == URL


@pytest.mark.parametrize(
    "missing", [["DATABASE_URL"], ["SECURE_API_KEY"], ["DATABASE_URL", "SECURE_API_KEY"]]
)
def test_production_names_each_missing_setting_in_a_line(
    monkeypatch: pytest.MonkeyPatch, missing: list[str]
) -> None:
    given = {name: value for name, value in PRODUCTION.items() if name not in missing}

    lines = refusal(monkeypatch, given).splitlines()

    assert lines == [
        f"{name}: missing. With APP_ENV=production set {name}, or {name}_FILE." for name in missing
    ]


def test_a_missing_key_is_reported_beside_a_wrong_url(monkeypatch: pytest.MonkeyPatch) -> None:
    given = {"APP_ENV": "production", "DATABASE_URL": "nonsense"}

    lines = refusal(monkeypatch, given).splitlines()

    assert [line.partition(":")[0] for line in lines] == ["DATABASE_URL", "SECURE_API_KEY"]


def test_production_starts_with_its_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load(monkeypatch, PRODUCTION | {"BIND": "0.0.0.0:5000"})

    assert settings.production
    assert secret(settings.database_url) == URL


@pytest.mark.parametrize("key", ["x", "x" * 15])
def test_production_refuses_a_short_key_without_showing_it(
    monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    line = refusal(monkeypatch, PRODUCTION | {"SECURE_API_KEY": key})

    assert line == "SECURE_API_KEY: production needs at least 16 characters."


def test_development_takes_a_short_key(monkeypatch: pytest.MonkeyPatch) -> None:
    assert secret(load(monkeypatch, {"SECURE_API_KEY": "x"}).secure_api_key) == "x"


LOOPBACK = ["127.0.0.1:5000", "127.8.8.8:1", "localhost:5000", "[::1]:5000", "unix:/run/flusk"]
OPEN = ["0.0.0.0:5000", "[::]:5000", "192.0.2.1:80", "flusk.example:80", "[:::]:80"]


@pytest.mark.parametrize("bind", LOOPBACK)
def test_a_loopback_needs_no_key(monkeypatch: pytest.MonkeyPatch, bind: str) -> None:
    assert load(monkeypatch, {"BIND": bind}).bind == (bind,)


@pytest.mark.parametrize("bind", OPEN)
def test_beyond_loopback_a_missing_key_stops_the_start(
    monkeypatch: pytest.MonkeyPatch, bind: str
) -> None:
    line = refusal(monkeypatch, {"BIND": bind})

    assert line.startswith(
        f"SECURE_API_KEY: is missing, and BIND={bind} is open to other machines."
    )
    assert "\n" not in line


@pytest.mark.parametrize("bind", OPEN)
def test_beyond_loopback_a_key_is_enough(monkeypatch: pytest.MonkeyPatch, bind: str) -> None:
    assert load(monkeypatch, {"BIND": bind, "SECURE_API_KEY": KEY}).bind == (bind,)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "2001:db8::1"])
def test_a_front_beyond_loopback_needs_a_key(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    line = refusal(monkeypatch, {"HTTP_HOST": host})

    assert line.startswith(
        f"SECURE_API_KEY: is missing, and HTTP_HOST={host} is open to other machines."
    )
    assert load(monkeypatch, {"HTTP_HOST": host, "SECURE_API_KEY": KEY}).http_host == host


def test_each_of_several_addresses_needs_a_key_beyond_loopback(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    line = refusal(monkeypatch, {"BIND": "127.0.0.1:5000,0.0.0.0:5001"})

    assert "BIND=0.0.0.0:5001 is open to other machines" in line


def test_a_direct_url_without_the_other_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    line = refusal(monkeypatch, {"DATABASE_DIRECT_URL": URL})

    assert line.startswith("DATABASE_DIRECT_URL: is set without DATABASE_URL. Set DATABASE_URL, ")
    assert "s3cret" not in line


def test_a_direct_url_is_checked_as_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    line = refusal(monkeypatch, {"DATABASE_URL": URL, "DATABASE_DIRECT_URL": "mysql://s3cret@x"})

    assert line == "DATABASE_DIRECT_URL: must begin with postgresql://."


@pytest.mark.parametrize("suffix", ["", "+asyncpg", "+psycopg2"])
@pytest.mark.parametrize("scheme", ["postgres", "postgresql"])
def test_a_database_url_may_have_any_drivers_suffix(
    monkeypatch: pytest.MonkeyPatch, scheme: str, suffix: str
) -> None:
    url = f"{scheme}{suffix}://host/name"

    assert secret(load(monkeypatch, {"DATABASE_URL": url}).database_url) == url


def test_the_example_names_every_setting_and_nothing_else_but_the_stacks() -> None:
    example = (ROOT / ".env.example").read_text(encoding="utf-8")
    names = re.findall(r"^#?([A-Z_]+)=", example, re.MULTILINE)

    assert set(names) - STACK == {name.upper() for name in ALL}
    assert len(names) == len(set(names))


def test_the_examples_values_are_the_defaults(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    example = (ROOT / ".env.example").read_text(encoding="utf-8")
    (tmp_path / ".env").write_text(
        re.sub("^#(?=[A-Z_]+=)", "", example, flags=re.MULTILINE), "utf-8"
    )
    monkeypatch.setitem(Settings.model_config, "env_file", tmp_path / ".env")

    settings = load_settings()

    # The URL and the path are examples; the log format says what the default comes to.
    examples = {"database_url", "log_format", "state_dir"}
    assert settings.model_dump(exclude=examples) == {
        name: value for name, value in ALL.items() if name not in examples
    }
    assert settings.json_logs is False
