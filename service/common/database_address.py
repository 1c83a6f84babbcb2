"""A database's URL, as libpq reads it, for asyncpg, which knows only some of its parameters."""

import re
from dataclasses import dataclass
from urllib.parse import SplitResult, parse_qsl, urlencode, urlsplit

CONNECT_SECONDS = 5
MAX_PORT = 65535
SSL_MODES = frozenset({"disable", "allow", "prefer", "require", "verify-ca", "verify-full"})
# Parameters that concern libpq alone; asyncpg would pass them on to the server.
LIBPQ_ONLY = frozenset(
    """
    channel_binding client_encoding connect_timeout fallback_application_name gssdelegation
    gssencmode keepalives keepalives_count keepalives_idle keepalives_interval
    load_balance_hosts max_protocol_version min_protocol_version oauth_client_id
    oauth_client_secret oauth_issuer oauth_scope require_auth requirepeer requiressl
    scram_client_key scram_server_key servicefile sslcertmode sslcompression sslcrldir
    sslkeylogfile sslsni tcp_user_timeout
    """.split()  # noqa: SIM905  # So the names are easy to compare with libpq's.
)
# What SQLAlchemy takes in the URL of its asyncpg driver.
SQLALCHEMY_ONLY = frozenset({"prepared_statement_cache_size", "prepared_statement_name_func"})


@dataclass(frozen=True, slots=True)
class Address:
    """Where a database is: asyncpg's DSN, seconds to connect (None: no limit), a name."""

    dsn: str
    connect_seconds: float | None
    application_name: str | None


def libpq_url(url: str) -> str:
    """Return a database URL without a driver's suffix, as libpq's programs read it."""
    return re.sub(r"^postgres(?:ql)?(?:\+\w+)?:", "postgresql:", url)


def parse_address(url: str) -> Address:
    """Read a database URL. Raises ValueError: a sentence without the URL, which has a password."""
    if not re.match(r"postgres(?:ql)?(?:\+\w+)?://", url):
        raise ValueError("must begin with postgresql://")
    parts = _split(libpq_url(url))
    query = dict(parse_qsl(parts.query))
    if "ssl" in query:
        query.setdefault("sslmode", query.pop("ssl"))
    if query.get("sslmode", "prefer") not in SSL_MODES:
        raise ValueError(f"sslmode must be one of {', '.join(sorted(SSL_MODES))}")
    if address := query.pop("hostaddr", None):
        query.setdefault("host", address)
    known = {n: v for n, v in query.items() if n not in LIBPQ_ONLY | SQLALCHEMY_ONLY}
    name = None if "application_name" in query else query.get("fallback_application_name", "flusk")
    return Address(
        f"postgresql://{parts.netloc}{parts.path}?{urlencode(known)}",
        _connect_seconds(query.get("connect_timeout")),
        name,
    )


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise ValueError("its host is malformed") from error
    for host in parts.netloc.rpartition("@")[2].split(","):
        port = re.fullmatch(r"(?:\[[^\]]*\]|[^:\[\]]*)(?::([0-9]*))?", host)
        if port is None or int(port[1] or 0) > MAX_PORT:
            raise ValueError("its host or port is malformed")
    return parts


def _connect_seconds(given: str | None) -> float | None:
    """Return `connect_timeout` as libpq reads it: zero, or less, is no limit."""
    if not given:
        return CONNECT_SECONDS
    if not re.fullmatch(r"-?[0-9]{1,9}(\.[0-9]{1,9})?", given):
        raise ValueError("connect_timeout must be a number of seconds")
    return float(given) if float(given) > 0 else None
