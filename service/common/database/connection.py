"""Connecting to the database: hosts in turn, TLS, the socket, the session."""

import asyncio
import random
import select
import socket
import ssl
from collections.abc import Iterator, Mapping
from math import inf
from typing import Any

import asyncpg

from service.common.database.unreachable import explain
from service.common.database.waits import waiting_for
from service.common.errors import DatabaseError
from service.metrics import DATABASE_ERRORS
from service.settings import Address, Host, password_for, tls_attempts

CANT_REACH = "The database can't be reached: try again soon."
# The driver cancels a statement this long after the server's own time-out.
COMMAND_GRACE_SECONDS = 5
# Sets what the session needs; returns whether it is a pooler's, and whether it is read-only. (The
# start-up packet is no place for it: PgBouncer accepts only some settings there.) A pooler shows
# its client another process id than the server's. Its sessions may be shared, so what they need is
# set for each transaction.
START_SESSION = """
SELECT
    count(set_config(name, value, pg_backend_pid() <> $3)),
    pg_backend_pid() <> $3::int,
    current_setting('transaction_read_only') = 'on'
FROM unnest($1::text[], $2::text[]) AS given (name, value)
"""
# A lost host, or a connection dropped by a firewall, is detected within a minute if idle, and five
# seconds after something was sent. In seconds; USER_TIMEOUT in milliseconds.
KEEPALIVE = {
    "keepalives_idle": (30, "TCP_KEEPIDLE"),
    "keepalives_interval": (10, "TCP_KEEPINTVL"),
    "keepalives_count": (3, "TCP_KEEPCNT"),
}
USER_TIMEOUT = 5000
UNREACHABLE = (
    OSError,
    ValueError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
)
# Like libpq, try the next host only if there is no server, or not one of the wanted kind; and,
# unlike libpq, if it hangs up, as a proxy without a server does.
NEXT_HOST = (
    OSError,
    asyncpg.ConnectionDoesNotExistError,
    asyncpg.CannotConnectNowError,
    asyncpg.TargetServerAttributeNotMatched,
)


class CountingProtocol(asyncio.Protocol):
    """Passes everything to the driver's protocol, and counts how often data arrived."""

    def __init__(self, protocol: Any) -> None:
        self.count = 0
        self._pass_on = protocol.data_received
        # The methods that pass on without a call.
        for name in ("connection_lost", "eof_received", "pause_writing", "resume_writing"):
            setattr(self, name, getattr(protocol, name))

    def data_received(self, data: bytes) -> None:
        """Count, and pass the data on."""
        self.count += 1
        self._pass_on(data)


class Connection(asyncpg.Connection):  # type: ignore[misc]  # asyncpg has no types.
    """A connection that knows, without a round trip, whether it is usable."""

    def __init__(self, protocol: Any, transport: asyncio.Transport, *rest: Any) -> None:
        super().__init__(protocol, transport, *rest)
        self.received = CountingProtocol(protocol)
        transport.set_protocol(self.received)
        self._count_when_idle = 0
        self.socket = transport.get_extra_info("socket")
        self.read_only = False
        # In milliseconds; of a pooler, the settings of a transaction have it.
        self.statement_timeout = "0"
        # SQL that sets, for a transaction, what a pooler's session does not keep.
        self.settings_of_transaction = ""
        poll = select.poll()
        poll.register(self.socket.fileno(), select.POLLIN)
        self._poll = poll.poll

    @property
    def is_pooled(self) -> bool:
        """Whether this is a connection to a pooler, not to the server."""
        return bool(self.settings_of_transaction)

    async def limit_statements(self) -> None:
        """Have the server cancel statements after the time-out that was given to `connect`."""
        if self.statement_timeout != "0":
            await self.execute(f"SET statement_timeout = {self.statement_timeout}")

    def mark_idle(self) -> None:
        """Note that the server has nothing more to send."""
        self._count_when_idle = self.received.count

    def is_fit(self) -> bool:
        """Return whether an idle session is usable.

        It is not if the server was read-only when it began, has closed it, or has sent data, which
        the event loop may not have read yet: to an idle session it only sends that it ends, a
        moment before it closes the connection.
        """
        return not (
            self.read_only
            or self.is_closed()
            or self.received.count != self._count_when_idle
            or self._poll(0)
        )


async def connect(
    address: Address,
    *,
    statement_timeout: float,
    longest_statement: float = inf,
    session_settings: Mapping[str, str],
    setting: str = "DATABASE_URL",
) -> Connection:
    """Connect; `statement_timeout` in seconds, 0 is none.

    The server cancels statements from `limit_statements` on: a short time-out is for requests, not
    for what a library does with a new connection. If the server does not cancel one, the driver
    does some seconds later, and at the latest after `longest_statement`. Raises DatabaseError,
    which names the setting of the address.
    """
    settings = {
        **address.settings,
        "statement_timeout": str(round(statement_timeout * 1000)),
        **session_settings,
    }
    reasons: list[str] = []
    last: Exception | None = None
    for attribute, host in _attempts(address):
        try:
            with waiting_for(f"a new connection to {host}"):
                async with asyncio.timeout(address.connect_seconds):
                    connection = await _connect_to(
                        address,
                        host,
                        target_session_attrs=attribute,
                        command_timeout=min(
                            statement_timeout + COMMAND_GRACE_SECONDS, longest_statement
                        )
                        if statement_timeout
                        else None,
                    )
                    return await _start_session(connection, address, settings)
        except UNREACHABLE as error:
            last = error
            reasons.append(explain(error, host, address))
            if not isinstance(error, NEXT_HOST):
                break
    # Without duplicates: prefer-standby tries each host twice.
    reason = f"{setting}: {'; '.join(dict.fromkeys(reasons))}"
    DATABASE_ERRORS.labels((getattr(last, "sqlstate", None) or "")[:2] or "connection").inc()
    raise DatabaseError(CANT_REACH, reason=reason) from last


def _attempts(address: Address) -> Iterator[tuple[str, Host]]:
    hosts = list(address.hosts)
    if address.parameters.get("load_balance_hosts") == "random":
        random.shuffle(hosts)
    wanted = address.parameters.get("target_session_attrs", "any")
    for attribute in ("standby", "any") if wanted == "prefer-standby" else (wanted,):
        yield from ((attribute, host) for host in hosts)


async def _connect_to(address: Address, host: Host, **options: Any) -> Connection:
    parameters = address.parameters
    if host.is_socket:
        attempts: list[ssl.SSLContext | bool] = [False]
    else:
        # In a thread, because it reads files; at each connection, because they may change.
        attempts = await asyncio.to_thread(tls_attempts, parameters)
    names = [host.name, "localhost"] if host.is_socket else [host.name]
    password = address.password or await asyncio.to_thread(
        password_for, parameters.get("passfile"), names, host.port, address.database, address.user
    )
    startup = {"application_name": address.application_name}
    if "options" in parameters:
        startup["options"] = parameters["options"]
    while True:
        attempt = attempts.pop(0)
        try:
            # asyncpg reads omitted arguments from `PG*` variables.
            connection: Connection = await asyncpg.connect(
                host=[host.address],
                port=[host.port],
                user=address.user,
                password=password or "",
                database=address.database,
                ssl=attempt,
                direct_tls=parameters.get("sslnegotiation") == "direct",
                krbsrvname=parameters.get("krbsrvname", "postgres"),
                gsslib=parameters.get("gsslib", "gssapi"),
                timeout=None,
                connection_class=Connection,
                server_settings=startup,
                **options,
            )
        except (OSError, asyncpg.PostgresError) as error:
            if not attempts or not _may_depend_on_tls(error):
                raise
        else:
            return connection


def _may_depend_on_tls(error: Exception) -> bool:
    """Return whether `allow` and `prefer` must retry, with or without TLS."""
    return isinstance(error, ssl.SSLError) or type(error) in {
        ConnectionError,
        ConnectionResetError,
        asyncpg.ConnectionDoesNotExistError,
        asyncpg.InvalidAuthorizationSpecificationError,
    }


async def _start_session(
    connection: Connection, address: Address, settings: Mapping[str, str]
) -> Connection:
    try:
        if connection.socket.family != socket.AF_UNIX:
            _keep_alive(connection.socket, address.parameters)
        unlimited = {**settings, "statement_timeout": "0"}
        _, is_pooled, connection.read_only = await connection.fetchrow(
            START_SESSION, list(unlimited), list(unlimited.values()), connection.get_server_pid()
        )
        if is_pooled:
            connection.settings_of_transaction = _set_for_transaction(settings)
        else:
            connection.statement_timeout = settings["statement_timeout"]
    except BaseException:
        connection.terminate()
        raise
    return connection


def _set_for_transaction(settings: Mapping[str, str]) -> str:
    pairs = (f"{_literal(name)}, {_literal(value)}" for name, value in settings.items())
    return f"SELECT {', '.join(f'set_config({pair}, true)' for pair in pairs)}"


def _literal(value: str) -> str:
    return "E'" + value.replace("\\", "\\\\").replace("'", "''") + "'"


def _keep_alive(socket_: Any, parameters: Mapping[str, str]) -> None:
    """Set the socket's options. Like libpq, ignore those that the platform lacks."""
    if int(parameters.get("keepalives", 1)):
        socket_.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, (default, option) in KEEPALIVE.items():
            _set(socket_, option, int(parameters.get(name, default)))
    _set(socket_, "TCP_USER_TIMEOUT", int(parameters.get("tcp_user_timeout", USER_TIMEOUT)))


def _set(socket_: Any, option: str, value: int) -> None:
    # Zero, or less, is the system's default.
    if value > 0 and hasattr(socket, option):
        socket_.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
