"""The package index that pip and uv are configured to use, for programs without such a setting.

uv reads no `pip.conf`, pip no `uv.toml`, and the build of the image reads neither, nor the
environment. It needs only Python.
"""

import netrc
import os
import re
import shlex
import ssl
import tomllib
from collections.abc import Mapping
from configparser import Error, RawConfigParser
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlsplit, urlunsplit

PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")
# What an index needs in addition to its URL, by pip's names.
OTHERS = ("trusted-host", "proxy", "timeout", "default-timeout", "retries", "find-links")
LOOPBACK = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True)
class Indexes:
    """Package indexes: `main` instead of PyPI, `extra` in addition to it."""

    main: str
    extra: tuple[str, ...]
    others: Mapping[str, str]
    certificates: str


def find(environment: Mapping[str, str]) -> Indexes:
    """Return the indexes configured for uv, else for pip, by the environment and by files."""
    pip, uv = _pip(environment), _uv(environment)
    main = _uv_url(environment, "UV_DEFAULT_INDEX") or environment.get("UV_INDEX_URL")
    extra = [
        *(_address(one, environment) for one in environment.get("UV_INDEX", "").split()),
        *environment.get("UV_EXTRA_INDEX_URL", "").split(),
        *pip.get("extra-index-url", "").split(),
        *uv[1],
    ]
    hosts = f"{environment.get('UV_INSECURE_HOST', '')} {pip.get('trusted-host', '')}".split()
    others = {name: pip[name] for name in OTHERS if pip.get(name)}
    return Indexes(
        main or pip.get("index-url") or uv[0],
        tuple(dict.fromkeys(extra)),
        others | ({"trusted-host": " ".join(hosts)} if hosts else {}),
        _certificates(environment, pip),
    )


def for_uv(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that make uv use pip's index.

    uv's own variables are unchanged.
    """
    found = find(environment)
    extra = " ".join(url for url in found.extra if not _is_missing(url))
    told = {
        "UV_DEFAULT_INDEX": found.main,
        "UV_INDEX": extra,
        # Like pip; the hashes decide what may be installed.
        "UV_INDEX_STRATEGY": "unsafe-best-match" if extra else "",
        "UV_INSECURE_HOST": found.others.get("trusted-host", ""),
    }
    return {name: value for name, value in told.items() if value and not environment.get(name)}


def for_build(environment: Mapping[str, str]) -> dict[str, str]:
    """Return what compose.yaml passes to the build of the image.

    The URLs may contain passwords: they are a build secret, which is not part of the image.
    """
    found = find(environment)
    logins = _logins(environment)
    urls = [_with_login(url, logins) for url in (found.main, *found.extra)]
    links = " ".join(one for one in found.others.get("find-links", "").split() if _is_remote(one))
    values = {
        "index-url": urls[0] if _is_remote(urls[0]) else "",
        "extra-index-url": " ".join(filter(_is_remote, urls[1:])),
        **found.others,
        "find-links": links,
    }
    lines = {f"PIP_{name.upper().replace('-', '_')}": value for name, value in values.items()}
    for name in (*PROXIES, *map(str.lower, PROXIES)):
        lines[name] = environment.get(name, "")
    text = "".join(f"{name}={shlex.quote(value)}\n" for name, value in lines.items() if value)
    addresses = [*urls, found.others.get("proxy", ""), *map(environment.get, lines)]
    return {
        "BUILD_CERTIFICATES": found.certificates or os.devnull,
        "BUILD_ENVIRONMENT": text,
        # A loopback address can't be reached from the build's own network.
        "BUILD_NETWORK": "host"
        if any(_host(one or "") in LOOPBACK for one in addresses)
        else "default",
    }


def _pip(environment: Mapping[str, str]) -> dict[str, str]:
    """Return pip's options for `install`, in its order: files, then the environment."""
    values: dict[str, str] = {}
    for file in _pip_files(environment):
        parser = RawConfigParser()
        try:
            parser.read(file, encoding="utf-8")
        except (Error, OSError, UnicodeDecodeError):
            continue  # pip itself reports the fault.
        for section in ("global", "install"):
            if parser.has_section(section):
                values |= {name.replace("_", "-"): text for name, text in parser.items(section)}
    for name, text in environment.items():
        if name.startswith("PIP_"):
            values[name.removeprefix("PIP_").lower().replace("_", "-")] = text
    return {name: " ".join(text.split()) for name, text in values.items()}


def _pip_files(environment: Mapping[str, str]) -> list[Path]:
    own = environment.get("PIP_CONFIG_FILE", "")
    if own == os.devnull:
        return []
    home = Path(environment.get("HOME") or "/nonexistent")
    systems = [
        Path(one) for one in environment.get("XDG_CONFIG_DIRS", "/etc/xdg").split(":") if one
    ]
    user = Path(environment.get("XDG_CONFIG_HOME") or home / ".config")
    support = Path("Library/Application Support/pip")  # macOS.
    return [
        *(one / "pip/pip.conf" for one in systems),
        Path("/etc/pip.conf"),
        Path("/") / support / "pip.conf",
        home / ".pip/pip.conf",
        home / support / "pip.conf",
        user / "pip/pip.conf",
        *([Path(own)] if own else []),
    ]


def _uv(environment: Mapping[str, str]) -> tuple[str, list[str]]:
    """Return the index that uv's files configure instead of PyPI, and additional ones."""
    home = Path(environment.get("HOME") or "/nonexistent")
    user = Path(environment.get("XDG_CONFIG_HOME") or home / ".config")
    main, extra = "", []
    for file in (user / "uv/uv.toml", Path("/etc/uv/uv.toml")):
        try:
            said = tomllib.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue  # uv itself reports the fault.
        indexes = said.get("index", [])
        defaults = [one["url"] for one in indexes if one.get("default")]
        main = main or next(iter([*defaults, said.get("index-url", "")]))
        extra += [one["url"] for one in indexes if not one.get("default")]
        extra += said.get("extra-index-url", [])
    return main, extra


def _uv_url(environment: Mapping[str, str], name: str) -> str:
    return _address(environment.get(name, ""), environment)


def _address(text: str, environment: Mapping[str, str]) -> str:
    """Return the address of `NAME=URL` or `URL`, with the login that uv takes for the name."""
    match = re.fullmatch(r"([A-Za-z0-9._-]+)=(.+)", text)
    if not match:
        return text
    key = f"UV_INDEX_{re.sub('[^A-Z0-9]', '_', match[1].upper())}"
    user, password = (environment.get(f"{key}_{part}", "") for part in ("USERNAME", "PASSWORD"))
    return _with_login(match[2], {_host(match[2]): (user, password)} if user else {})


def _logins(environment: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """Return the logins of `.netrc`, which pip and uv read too."""
    home = environment.get("HOME") or "/nonexistent"
    try:
        hosts = netrc.netrc(environment.get("NETRC") or f"{home}/.netrc").hosts
    except (OSError, netrc.NetrcParseError):
        return {}
    return {host: (login, password or "") for host, (login, _, password) in hosts.items()}


def _with_login(url: str, logins: Mapping[str, tuple[str, str]]) -> str:
    host = _host(url)
    if host not in logins or "@" in (parts := urlsplit(url)).netloc:
        return url
    login = ":".join(quote(part, safe="") for part in logins[host])
    return urlunsplit(parts._replace(netloc=f"{login}@{parts.netloc}"))


def _certificates(environment: Mapping[str, str], pip: Mapping[str, str]) -> str:
    """Return the file of the authorities that this machine trusts."""
    names = ("PIP_CERT", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
    system = ssl.get_default_verify_paths()
    found = [
        *(environment.get(name) for name in names),
        pip.get("cert"),
        system.cafile,
        "/etc/ssl/certs/ca-certificates.crt",
        "/etc/pki/tls/certs/ca-bundle.crt",
    ]
    return next((str(Path(one).resolve()) for one in found if one and Path(one).is_file()), "")


def _is_remote(url: str) -> bool:
    return url.startswith(("http://", "https://"))


def _host(url: str) -> str:
    try:
        return (_is_remote(url) and urlsplit(url).hostname) or ""
    except ValueError:  # Reported when it is used.
        return ""


def _is_missing(url: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme == "file" and not Path(parts.path).is_dir()
