"""The parameters of libpq, and those that the service's driver supports."""

import re
from collections.abc import Mapping

from service.settings.tls import check_mode

# libpq's parameters (PostgreSQL's manual, 34.1.2) except server, database and user.
LIBPQ = frozenset(
    """
    application_name channel_binding client_encoding connect_timeout fallback_application_name
    gssdelegation gssencmode gsslib keepalives keepalives_count keepalives_idle
    keepalives_interval krbsrvname load_balance_hosts max_protocol_version min_protocol_version
    oauth_client_id oauth_client_secret oauth_issuer oauth_scope options passfile replication
    require_auth requirepeer requiressl scram_client_key scram_server_key ssl_max_protocol_version
    ssl_min_protocol_version sslcert sslcertmode sslcompression sslcrl sslcrldir sslkey
    sslkeylogfile sslmode sslnegotiation sslpassword sslrootcert sslsni target_session_attrs
    tcp_user_timeout
    """.split()  # noqa: SIM905  # So the names are easy to compare with libpq's.
)
# What SQLAlchemy accepts in the URL of its asyncpg driver.
SQLALCHEMY_ONLY = frozenset({"prepared_statement_cache_size", "prepared_statement_name_func"})
# Never among the arguments of a process, which every user can read.
SECRET = frozenset({"oauth_client_secret", "scram_client_key", "scram_server_key", "sslpassword"})
# The values that asyncpg supports; other values demand a protection that it lacks.
WITHIN_THE_DRIVER: dict[str, tuple[str, ...]] = {
    "channel_binding": ("disable", "prefer"),
    "gssencmode": ("disable", "prefer"),
    "min_protocol_version": ("3.0",),
    "replication": ("false", "off", "no", "0"),
    "require_auth": (),
    "requirepeer": (),
    "sslcertmode": ("allow", "disable"),
    "sslsni": ("1",),
}
CHOICES = {
    "load_balance_hosts": ("disable", "random"),
    "sslnegotiation": ("postgres", "direct"),
    "target_session_attrs": (
        *("any", "read-write", "read-only", "primary", "standby", "prefer-standby"),
    ),
    "gsslib": ("gssapi", "sspi"),
}
NUMBERS = (
    *("keepalives", "keepalives_idle", "keepalives_interval", "keepalives_count"),
    "tcp_user_timeout",
)


def check_parameters(parameters: Mapping[str, str]) -> Mapping[str, str]:
    """Return the parameters. Raises ValueError if one is invalid or not supported."""
    for name, values in WITHIN_THE_DRIVER.items():
        if parameters.get(name, "") not in {"", *values}:
            raise ValueError(
                f"{name}={parameters[name]} is not supported by the service's driver: "
                "remove it, or see docs/operate.md for what protects the connection"
            )
    for name, values in CHOICES.items():
        if parameters.get(name, "") not in {"", *values}:
            raise ValueError(f"{name} must be one of {', '.join(values)}")
    for name in NUMBERS:
        if not re.fullmatch(r"-?[0-9]{1,9}", parameters.get(name, "0")):
            raise ValueError(f"{name} must be an integer")
    if not re.fullmatch(r"-?[0-9]{1,9}(\.[0-9]{1,9})?", parameters.get("connect_timeout", "0")):
        raise ValueError("connect_timeout must be a number of seconds")
    check_mode(parameters)
    return parameters
