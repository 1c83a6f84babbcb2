"""The notes of an error about the wait that it ended."""

import asyncio

import pytest

from service.common.database.connection import connect
from service.common.database.waits import waiting_for
from service.common.errors.exceptions import DatabaseError, cause_of
from service.settings.address import parse_address


async def test_a_timeout_notes_what_was_waited_for_and_how_long() -> None:
    async def wait() -> None:
        with waiting_for("the kettle"):
            await asyncio.Event().wait()

    with pytest.raises(TimeoutError) as caught:
        await asyncio.wait_for(wait(), 0.01)

    assert cause_of(caught.value) == "waited 0.0 s for the kettle"


def test_the_note_of_a_wait_follows_the_message_of_an_error() -> None:
    with pytest.raises(TimeoutError) as caught, waiting_for("the kettle"):
        raise TimeoutError("too cold")

    assert cause_of(caught.value) == "TimeoutError: too cold; waited 0.0 s for the kettle"


def test_other_errors_have_no_note() -> None:
    with pytest.raises(ValueError, match="broken") as caught, waiting_for("the kettle"):
        raise ValueError("broken")

    assert cause_of(caught.value) == "ValueError: broken"


def test_a_reason_stands_for_what_lies_below_it() -> None:
    error = DatabaseError(reason="nobody listens")
    error.__cause__ = OSError("errno")

    assert cause_of(error) == "nobody listens"


async def test_a_deadline_while_connecting_names_the_host() -> None:
    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(say_nothing, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    address = parse_address(f"postgresql://u@127.0.0.1:{port}/d?sslmode=disable")
    async with server:
        with pytest.raises(TimeoutError) as caught:
            async with asyncio.timeout(0.1):
                await connect(address, statement_timeout=0, session_settings={})

    assert cause_of(caught.value) == f"waited 0.1 s for a new connection to 127.0.0.1:{port}"
