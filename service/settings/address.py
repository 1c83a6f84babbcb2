"""A database's URL as libpq reads it: for asyncpg, and for libpq's programs.

The URL alone decides: `PG*` variables of the environment are for other programs.
"""

import os
import pwd
import re
from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil
from urllib.parse import quote, unquote, urlencode

from service.name import NAME
from service.settings.libpq_files import read_service
from service.settings.parameters import LIBPQ, SECRET, SQLALCHEMY_ONLY, check_parameters
from service.settings.tls import check_mode, system_bundle, tls_attempts

CONNECT_SECONDS = 5
MAX_PORT = 65535
DEFAULT_PORT = "5432"
# The socket folders of Debian's and Fedora's servers, and PostgreSQL's default.
SOCKET_FOLDERS = ("/run/postgresql", "/tmp")  # noqa: S108  # A place to look for a socket.
URL = re.compile(
    r"postgres(?:ql)?(?:\+\w+)?://(?:(?P<login>[^/?]*)@)?(?P<hosts>[^/?]*)"
    r"(?:/(?P<database>[^?]*))?(?:\?(?P<query>.*))?",
    re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Host:
    """A host: its name, or the folder of its socket; where to connect to; its port."""

    name: str
    address: str
    port: int

    @property
    def is_socket(self) -> bool:
        """Whether it is a Unix socket."""
        return self.address.startswith("/")

    def __str__(self) -> str:
        if self.is_socket:
            return f"{self.address}/.s.PGSQL.{self.port}"
        return f"[{self.name}]:{self.port}" if ":" in self.name else f"{self.name}:{self.port}"


@dataclass(frozen=True, slots=True)
class Address:
    """The address of a database, and libpq's parameters for the connection.

    `settings` are those of the server, which asyncpg accepts in a URL and libpq does not.
    """

    hosts: tuple[Host, ...]
    user: str
    password: str | None
    database: str
    parameters: Mapping[str, str]
    settings: Mapping[str, str]

    @property
    def connect_seconds(self) -> float | None:
        """Return `connect_timeout` as libpq reads it: zero, or less, is no limit."""
        seconds = float(self.parameters.get("connect_timeout", CONNECT_SECONDS))
        return seconds if seconds > 0 else None

    @property
    def application_name(self) -> str:
        """Return the name of the connections."""
        given = self.parameters.get("application_name")
        return given or self.parameters.get("fallback_application_name", NAME)

    def to_libpq(self) -> str:
        """Return a URL for libpq's programs, without secrets: arguments of processes are public."""
        query = {n: v for n, v in self.parameters.items() if n not in SECRET}
        if seconds := query.get("connect_timeout"):
            query["connect_timeout"] = str(max(ceil(float(seconds)), 0))
        if query.get("sslrootcert") == "system":
            # libpq before 16 knows only files.
            query["sslrootcert"] = system_bundle() or "system"
        for name, value in self.settings.items():
            escaped = re.sub(r"([\\\s])", r"\\\1", value)
            query["options"] = f"{query.get('options', '')} -c {name}={escaped}".strip()
        hosts = ""
        if any(host.is_socket or host.name != host.address for host in self.hosts):
            query["host"] = ",".join(host.name for host in self.hosts)
            query["port"] = ",".join(str(host.port) for host in self.hosts)
            if any(host.name != host.address for host in self.hosts):
                query["hostaddr"] = ",".join(host.address for host in self.hosts)
        else:
            hosts = ",".join(map(str, self.hosts))
        end = f"?{urlencode(query, quote_via=quote)}" if query else ""
        return f"postgresql://{quote(self.user, '')}@{hosts}/{quote(self.database, '')}{end}"


def parse_address(url: str) -> Address:
    """Parse a database URL. Raises ValueError, without the URL, which contains a password."""
    found = URL.fullmatch(url)
    if found is None:
        raise ValueError("must begin with postgresql://")
    given = _parameters(found)
    if service := given.pop("service", None):
        given = read_service(service, given.get("servicefile")) | given
    given.pop("servicefile", None)
    if "database" in given:
        given.setdefault("dbname", given.pop("database"))
    user = given.pop("user", "") or _system_user()
    own = {name: given.pop(name, "") for name in ("host", "hostaddr", "port", "dbname", "password")}
    parameters = {n: v for n, v in given.items() if n in LIBPQ and v}
    settings = {n: v for n, v in given.items() if n not in LIBPQ | SQLALCHEMY_ONLY}
    address = Address(
        hosts=_hosts(own["host"], own["hostaddr"], own["port"]),
        user=user,
        password=own["password"] or None,
        database=own["dbname"] or user,
        parameters=check_parameters(parameters),
        settings=settings,
    )
    if not all(host.is_socket for host in address.hosts):
        _check_tls(address)
    return address


def _parameters(found: re.Match[str]) -> dict[str, str]:
    """Return the parts of a URL by libpq's names."""
    try:
        user, _, password = (found["login"] or "").partition(":")
        # Not `parse_qsl`: libpq does not read `+` as a space.
        pairs = [pair.partition("=") for pair in (found["query"] or "").split("&") if pair]
        query = {
            unquote(name, errors="strict"): unquote(v, errors="strict") for name, _, v in pairs
        }
        parts = {"user": user, "password": password, "dbname": found["database"] or ""}
        given = {name: unquote(value, errors="strict") for name, value in parts.items() if value}
    except UnicodeDecodeError as error:
        raise ValueError("its percent-encoded text is not UTF-8") from error
    hosts, ports = [], []
    for part in filter(None, [found["hosts"]]):
        for text in part.split(","):
            host = re.fullmatch(r"(?:\[([^\]]*)\]|([^:\[\]]*))(?::([0-9]*))?", text)
            if host is None:
                raise ValueError("its host or port is malformed")
            hosts.append(unquote(host[1] or host[2] or ""))
            ports.append(host[3] or "")
    if any(hosts):
        given["host"] = ",".join(hosts)
    if any(ports):
        given["port"] = ",".join(ports)
    if "ssl" in query:
        # The spelling of SQLAlchemy and asyncpg; `true` is JDBC's.
        mode = query.pop("ssl")
        query.setdefault("sslmode", "require" if mode == "true" else mode)
    if query.get("requiressl") == "1":
        query.setdefault("sslmode", "require")
    given |= query
    if any("\0" in text for text in given.values()):
        raise ValueError("has a NUL character")
    return given


def _hosts(names: str, addresses: str, ports: str) -> tuple[Host, ...]:
    if not names and not addresses:
        names = ",".join(SOCKET_FOLDERS)
    name_list = names.split(",") if names else addresses.split(",")
    address_list = addresses.split(",") if addresses else name_list
    port_list = ports.split(",") if ports else [""]
    if len(port_list) == 1:
        port_list *= len(name_list)
    if len(address_list) != len(name_list) or len(port_list) != len(name_list):
        raise ValueError("its lists of hosts, addresses and ports differ in length")
    found = []
    for name, address, port in zip(name_list, address_list, port_list, strict=True):
        if not re.fullmatch(r"[0-9]*", port) or int(port or 1) not in range(1, MAX_PORT + 1):
            raise ValueError("its host or port is malformed")
        place = name or address or SOCKET_FOLDERS[0]
        found.append(Host(place, address or place, int(port or DEFAULT_PORT)))
    return tuple(found)


def _check_tls(address: Address) -> None:
    """Read the files once, so that an invalid one prevents the start."""
    tls_attempts(address.parameters)
    full = check_mode(address.parameters) == "verify-full"
    if full and any(host.name != host.address for host in address.hosts):
        raise ValueError("sslmode=verify-full can't be combined with hostaddr: leave hostaddr out")


def _system_user() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        raise ValueError("has no user, and the user of this process has no name") from None
