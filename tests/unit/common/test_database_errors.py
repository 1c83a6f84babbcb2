"""The error for a client by SQLSTATE, and for errors without one."""

from typing import Any

import asyncpg
import pytest
from sqlalchemy.exc import DBAPIError, IntegrityError, InterfaceError, ProgrammingError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from service.common.database.sqlstates import constraint_of, sqlstate_of, translate
from service.common.database.work_pool import ShareError
from service.common.errors.exceptions import (
    SHARE,
    Conflict,
    DatabaseError,
    DeadlineExceeded,
    InvalidAPIRequest,
    JSONException,
    RecordAlreadyExists,
    Unavailable,
)


class DriverError(Exception):
    """Like errors of SQLAlchemy's asyncpg dialect: the SQLSTATE, and asyncpg's error as cause."""

    def __init__(self, state: str | None, cause: BaseException | None = None) -> None:
        super().__init__("secret detail of the server")
        self.sqlstate = state
        self.__cause__ = cause


def error_of(state: str | None, kind: type[DBAPIError] = DBAPIError, **options: Any) -> DBAPIError:
    return kind("SELECT 1", {}, DriverError(state), **options)


MEANINGS: list[tuple[str, type[JSONException], int]] = [
    ("22003", InvalidAPIRequest, 422),
    ("22021", InvalidAPIRequest, 422),
    ("23001", Conflict, 409),
    ("23503", Conflict, 409),
    ("23505", RecordAlreadyExists, 409),
    ("42703", DatabaseError, 503),
    ("42P01", DatabaseError, 503),
    ("57014", DeadlineExceeded, 504),
    ("08000", DatabaseError, 503),
    ("08003", DatabaseError, 503),
    ("08006", DatabaseError, 503),
    ("08P01", DatabaseError, 503),
    ("25006", DatabaseError, 503),
    ("53000", DatabaseError, 503),
    ("53100", DatabaseError, 503),
    ("53200", DatabaseError, 503),
    ("53300", DatabaseError, 503),
    ("57P01", DatabaseError, 503),
    ("57P02", DatabaseError, 503),
    ("57P03", DatabaseError, 503),
    ("25P03", Unavailable, 503),
    ("25P04", Unavailable, 503),
    ("40001", Unavailable, 503),
    ("40P01", Unavailable, 503),
    ("55P03", Unavailable, 503),
]


@pytest.mark.parametrize(("state", "kind", "status"), MEANINGS)
def test_a_sqlstate_has_its_meaning(state: str, kind: type[JSONException], status: int) -> None:
    meaning = translate(error_of(state))

    assert type(meaning) is kind
    assert meaning.code == status
    assert meaning.message.endswith(".")
    assert "secret" not in meaning.message


@pytest.mark.parametrize(
    "state",
    ["23502", "23514", "22P02", "25P02", "42601", "57000", "57015", "XX000", "0A000", ""],
)
def test_a_sqlstate_that_is_the_services_own_fault_has_no_meaning(state: str) -> None:
    assert translate(error_of(state)) is None
    assert translate(error_of(state, ProgrammingError)) is None


def test_an_error_without_a_sqlstate_has_no_meaning() -> None:
    assert translate(error_of(None)) is None


def test_a_connection_that_was_lost_is_a_database_error() -> None:
    assert type(translate(error_of(None, connection_invalidated=True))) is DatabaseError
    assert type(translate(error_of(None, InterfaceError))) is DatabaseError


def test_the_sqlstate_decides_even_if_the_connection_was_lost() -> None:
    meaning = translate(error_of("57014", connection_invalidated=True))

    assert type(meaning) is DeadlineExceeded


async def raised_by_driver(error: Exception, monkeypatch: pytest.MonkeyPatch) -> Exception:
    """Return the error as the driver raises it, with the driver's frames."""

    async def fail(*_: Any, **__: Any) -> Any:
        raise error

    monkeypatch.setattr("asyncpg.connect_utils._connect", fail)
    with pytest.raises(type(error)) as raised:
        await asyncpg.connect()
    return raised.value


@pytest.mark.parametrize(
    "error",
    [
        ConnectionError(),
        ConnectionRefusedError(111, "refused"),
        ConnectionResetError(),
        asyncpg.InternalClientError("unexpected state"),
    ],
)
async def test_a_refused_or_reset_connection_is_a_database_error(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    meaning = translate(await raised_by_driver(error, monkeypatch))

    assert type(meaning) is DatabaseError
    assert meaning.response_headers == {"Retry-After": "1"}


def test_an_exhausted_pool_is_unavailable() -> None:
    meaning = translate(PoolTimeoutError("QueuePool limit of size 10 reached"))

    assert type(meaning) is Unavailable
    assert meaning.response_headers == {"Retry-After": "1"}
    assert "QueuePool" not in meaning.message
    assert meaning.limit == "POOL_WAIT_SECONDS"


def test_a_client_with_its_share_of_the_connections_is_told_so() -> None:
    meaning = translate(ShareError("waited 2.0 s for a connection"))

    assert type(meaning) is Unavailable
    assert meaning.message == SHARE
    assert meaning.limit == "CLIENT_SHARE"


async def test_a_statement_that_the_driver_gave_up_is_past_its_deadline(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    error = await raised_by_driver(TimeoutError(), monkeypatch)

    assert type(translate(error)) is DeadlineExceeded


@pytest.mark.parametrize("error", [TimeoutError(), ConnectionResetError()])
def test_an_error_that_the_driver_did_not_raise_has_no_meaning(error: Exception) -> None:
    with pytest.raises(type(error)) as raised:
        raise error

    assert translate(raised.value) is None


@pytest.mark.parametrize(
    "error", [ValueError("x"), KeyError("x"), RuntimeError("x"), Exception(), KeyboardInterrupt()]
)
def test_an_error_of_another_kind_has_no_meaning(error: BaseException) -> None:
    assert translate(error) is None


def test_the_state_of_an_error_is_the_servers_or_empty() -> None:
    assert sqlstate_of(error_of("23505")) == "23505"
    assert sqlstate_of(error_of(None)) == ""
    assert sqlstate_of(DBAPIError("SELECT 1", {}, ValueError("no state"))) == ""


def test_the_constraint_of_an_error_is_the_servers_or_none() -> None:
    cause = asyncpg.UniqueViolationError.new({"C": "23505", "M": "taken", "n": "uq_item_email"})
    error = IntegrityError("INSERT", {}, DriverError("23505", cause))

    assert constraint_of(error) == "uq_item_email"
    assert constraint_of(error_of("23505", IntegrityError)) is None
