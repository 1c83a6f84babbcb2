"""Messages for the log and the operator: why a connection to the database failed."""

import ssl
from socket import gaierror

import asyncpg

from service.settings import Address, Host

# The first match counts. `said` is the error's own message, which has no secret.
REASONS: tuple[tuple[type[Exception] | tuple[type[Exception], ...], str], ...] = (
    (gaierror, "the host name {name} can't be resolved ({said}): correct it, or the name service"),
    (TimeoutError, "{host} did not answer within {seconds}: check host, port, network, firewalls"),
    (
        ssl.SSLCertVerificationError,
        "the certificate of {host} is not trusted ({said}): correct the host or sslrootcert",
    ),
    (ssl.SSLError, "TLS with {host} failed ({said}): check sslmode and the certificates"),
    (
        (FileNotFoundError, ConnectionRefusedError, NotADirectoryError),
        "no server listens at {host} ({said}): start it, or correct host and port",
    ),
    (PermissionError, "{host} can't be opened ({said}): run as a user with access to the socket"),
    (OSError, "{host} can't be reached ({said}): check host, port, sslmode and the network"),
    (
        asyncpg.InvalidPasswordError,
        "{host} refuses the password of user {user}: correct user and password",
    ),
    (
        asyncpg.InvalidAuthorizationSpecificationError,
        "{host} refuses user {user} ({said}): correct the user, or pg_hba.conf there",
    ),
    (
        asyncpg.InvalidCatalogNameError,
        "{host} has no database {database}: create it, or correct the name",
    ),
    (
        asyncpg.TooManyConnectionsError,
        "{host} has no connection left ({said}): raise its limit, or lower DATABASE_POOL_SIZE",
    ),
    (
        asyncpg.CannotConnectNowError,
        "{host} accepts no connections now ({said}): wait, or start it",
    ),
    (
        asyncpg.TargetServerAttributeNotMatched,
        "{host} does not match target_session_attrs={wanted}: add the host that does",
    ),
    (ValueError, "{said}"),
    (Exception, "{host} refuses the connection ({said}): see its log"),
)


def explain(error: Exception, host: Host, address: Address) -> str:
    """Return the host, what is wrong with it, and what to do; never the password."""
    reason = next(reason for kind, reason in REASONS if isinstance(error, kind))
    seconds = address.connect_seconds
    return reason.format(
        host=host,
        name=host.address,
        said=str(error).split("\n", 1)[0] or type(error).__name__,
        seconds=f"{seconds:g} s" if seconds else "the system's limit",
        user=address.user,
        database=address.database,
        wanted=address.parameters.get("target_session_attrs"),
    )
