"""The package index: the configuration of pip and uv, for uv and for the build."""

import os
import subprocess
from pathlib import Path

import pytest

from ops import indexes


@pytest.fixture
def home(tmp_path: Path) -> dict[str, str]:
    """Return the environment of a person who has no configuration at all."""
    return {"HOME": str(tmp_path), "XDG_CONFIG_DIRS": str(tmp_path / "xdg"), "PATH": ""}


def write(home: dict[str, str], name: str, text: str) -> None:
    path = Path(home["HOME"]) / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def build(environment: dict[str, str]) -> dict[str, str]:
    """Return what the shell of the build sees."""
    script = indexes.for_build(environment)["BUILD_ENVIRONMENT"]
    shown = subprocess.run(
        ["/bin/sh", "-c", f"set -a; {script}\n/usr/bin/env -0"],
        env={},
        capture_output=True,
        text=True,
        check=True,
    )
    pairs = (line.partition("=") for line in shown.stdout.split("\0") if line)
    return {name: value for name, _, value in pairs if name not in {"PWD", "SHLVL", "_"}}


PIP_CONF = "[global]\nindex-url = https://pip.example/simple\n"
SOURCES = {
    "PIP_INDEX_URL": ({"PIP_INDEX_URL": "https://pip.example/simple"}, {}),
    "pip.conf": ({}, {".config/pip/pip.conf": PIP_CONF}),
    "old pip.conf": ({}, {".pip/pip.conf": PIP_CONF}),
    "system pip.conf": ({}, {"xdg/pip/pip.conf": PIP_CONF}),
    "PIP_CONFIG_FILE": ({"PIP_CONFIG_FILE": "HOME/own.conf"}, {"own.conf": PIP_CONF}),
    "for install": (
        {},
        {".config/pip/pip.conf": "[install]\nindex_url=https://pip.example/simple\n[global]\nindex-url=x"},
    ),
    "environment over file": (
        {"PIP_INDEX_URL": "https://pip.example/simple"},
        {".config/pip/pip.conf": "[global]\nindex-url = https://other.example\n"},
    ),
    "UV_DEFAULT_INDEX": ({"UV_DEFAULT_INDEX": "https://pip.example/simple"}, {}),
    "UV_DEFAULT_INDEX with a name": ({"UV_DEFAULT_INDEX": "own=https://pip.example/simple"}, {}),
    "UV_INDEX_URL": ({"UV_INDEX_URL": "https://pip.example/simple"}, {}),
    "uv.toml": (
        {},
        {".config/uv/uv.toml": '[[index]]\nurl = "https://pip.example/simple"\ndefault = true\n'},
    ),
}  # fmt: skip


@pytest.mark.parametrize("source", SOURCES)
def test_the_index_is_found_wherever_it_is_set(home: dict[str, str], source: str) -> None:
    environment, files = SOURCES[source]
    for name, text in files.items():
        write(home, name, text)
    whole = home | {name: text.replace("HOME", home["HOME"]) for name, text in environment.items()}

    if "UV_DEFAULT_INDEX" not in environment:
        assert indexes.for_uv(whole)["UV_DEFAULT_INDEX"] == "https://pip.example/simple"
    assert build(whole)["PIP_INDEX_URL"] == "https://pip.example/simple"


def test_without_a_configuration_nothing_is_said(
    home: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = home | {"PIP_CONFIG_FILE": os.devnull}

    assert indexes.for_uv(environment) == {}
    assert build(environment) == {}
    assert indexes.for_build(environment)["BUILD_NETWORK"] == "default"


def test_files_next_to_the_index_are_included(home: dict[str, str], tmp_path: Path) -> None:
    write(
        home,
        "own.conf",
        "[global]\nextra-index-url =\n    https://a.example\n    https://b.example\n",
    )
    local = {"PIP_CONFIG_FILE": f"{tmp_path}/own.conf", "PIP_TRUSTED_HOST": "a.example"}
    shell = "http://me:pa'ss;$(id)@proxy.example:3128"
    found = build(home | local | {"HTTPS_PROXY": shell, "no_proxy": ".example"})

    assert found["PIP_EXTRA_INDEX_URL"].split()[-2:] == ["https://a.example", "https://b.example"]
    assert found["PIP_TRUSTED_HOST"] == "a.example"
    assert (found["HTTPS_PROXY"], found["no_proxy"]) == (shell, ".example")
    uv = indexes.for_uv(home | local)
    assert uv["UV_INDEX"].split()[-2:] == ["https://a.example", "https://b.example"]
    assert (uv["UV_INSECURE_HOST"], uv["UV_INDEX_STRATEGY"]) == ("a.example", "unsafe-best-match")


def test_logins_of_netrc_and_uv_are_those_of_their_host(home: dict[str, str]) -> None:
    write(home, ".netrc", "machine pip.example login me password p@ss/word\n")
    (Path(home["HOME"]) / ".netrc").chmod(0o600)
    extra = {"UV_INDEX": "own=https://uv.example/simple https://plain.example/simple"}
    login = {"UV_INDEX_OWN_USERNAME": "u", "UV_INDEX_OWN_PASSWORD": "p"}
    found = build(home | extra | login | {"PIP_INDEX_URL": "https://pip.example/simple"})

    assert found["PIP_INDEX_URL"] == "https://me:p%40ss%2Fword@pip.example/simple"
    assert found["PIP_EXTRA_INDEX_URL"].split()[:2] == [
        "https://u:p@uv.example/simple",
        "https://plain.example/simple",
    ]


@pytest.mark.parametrize(
    ("environment", "network"),
    [
        ({"PIP_INDEX_URL": "http://localhost:3141/root/pypi"}, "host"),
        ({"https_proxy": "http://127.0.0.1:3128"}, "host"),
        ({"https_proxy": "http://10.0.0.1:3128", "NO_PROXY": "127.0.0.1"}, "default"),
        ({"PIP_INDEX_URL": "http://[no-address"}, "default"),
    ],
)
def test_an_index_on_loopback_can_be_reached_from_the_build(
    home: dict[str, str], environment: dict[str, str], network: str
) -> None:
    assert indexes.for_build(home | environment)["BUILD_NETWORK"] == network


def test_indexes_on_this_disk_do_not_reach_the_build(home: dict[str, str]) -> None:
    environment = home | {
        "PIP_INDEX_URL": "file:///mirror/simple",
        "PIP_EXTRA_INDEX_URL": "file:///nowhere https://b.example",
        "PIP_FIND_LINKS": "/mirror",
        "PIP_CONFIG_FILE": os.devnull,
    }

    assert build(environment) == {"PIP_EXTRA_INDEX_URL": "https://b.example"}
    assert indexes.for_uv(environment)["UV_INDEX"] == "https://b.example"


def test_the_authorities_of_the_environment_come_first(
    home: dict[str, str], tmp_path: Path
) -> None:
    own = tmp_path / "own.pem"
    own.write_text("")

    for name in ("PIP_CERT", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"):
        assert indexes.for_build(home | {name: str(own)})["BUILD_CERTIFICATES"] == str(own)
    gone = indexes.for_build(home | {"PIP_CERT": str(tmp_path / "gone")})["BUILD_CERTIFICATES"]
    assert Path(gone).exists()
